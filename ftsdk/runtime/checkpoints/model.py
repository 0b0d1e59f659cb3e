"""Publishes the trained model: the output folder without the files that only a resume needs."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from ftsdk import contract
from ftsdk.contract.lineage import LINEAGE_FILE, LineageRecord
from ftsdk.runtime.checkpoints.checkpoints import Identity, put_folder
from ftsdk.runtime.storage.durable import Durable

RESUME_ONLY = ("checkpoint-*", "optimizer.*", "scheduler.pt", "scaler.pt", "rng_state*", "ftsdk_rank_*")
LEFT_OUT = (*RESUME_ONLY, "runs/*", "training_args.bin", "trainer_log.jsonl")
"""training_args.bin is a pickle that contains paths of the container; LLaMA-Factory's trainer_log.jsonl is overwritten
by every attempt, and its speed and time left are wrong after a resume: trainer_state.json holds all logged values."""
COMMIT = f"{contract.MODEL_DIR}/{contract.COMMIT_FILE}"


def is_published(durable: Durable, digest: str) -> bool:
    """Whether the complete model of this job is already in durable storage. Raises OSError where storage fails."""
    try:
        return bool(json.loads(durable.read(COMMIT))["digest"] == digest)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def publish_model(
    durable: Durable,
    identity: Identity,
    output: Path,
    step: int | None,
    lineage: Callable[[], LineageRecord],
) -> int:
    """Store the model, its manifest, its lineage and, last, its COMMIT; returns its bytes. Raises OSError.

    `lineage` is called once the files are stored, because the record lists them.
    """
    durable.delete(COMMIT)  # first: a partly replaced model must not exist
    durable.delete_folder(contract.MODEL_DIR)
    total = put_folder(
        durable, contract.MODEL_DIR, output, identity, lambda name: name != LINEAGE_FILE and not _is_left_out(name)
    )
    written = json.dumps(lineage(), indent=1).encode()
    durable.put(f"{contract.MODEL_DIR}/{LINEAGE_FILE}", written)
    with contextlib.suppress(OSError):  # for platforms that upload the output folder themselves
        (output / LINEAGE_FILE).write_bytes(written)
    record = {"digest": identity.digest, "attempt": identity.attempt, "step": step, "bytes": total, "time": time.time()}
    durable.put(COMMIT, json.dumps(record).encode())
    return total


def published_files(output: Path) -> dict[str, Path]:
    """The model's files in the output folder, by name; none if there is no such folder."""
    files = {path.relative_to(output).as_posix(): path for path in output.rglob("*") if path.is_file()}
    return {name: path for name, path in files.items() if not _is_left_out(name)}


def _is_left_out(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in LEFT_OUT)
