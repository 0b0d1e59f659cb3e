"""Chooses the checkpoint that an attempt resumes from: the newest valid one, or none, or an error. Never silently.

`docs/resume.md` lists what must be the same: the spec's digest (checkpoints with another one are ignored) and the
global batch. A different number of processes with the same global batch, or other library versions, cause a warning.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ftsdk import contract
from ftsdk.contract.documents import JobDocument, StartCheckpoint
from ftsdk.runtime.checkpoints.checkpoints import Commit, DamagedCheckpointError, Identity, committed, restore
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import delete_tree

LIBRARIES = ("torch", "transformers", "llamafactory", "trl", "peft", "accelerate", "bitsandbytes")
SHARDED = ("deepspeed", "fsdp")
"""Arguments with which each process saves its part of the optimizer: as many processes must load them."""


class UnusableCheckpointError(Exception):
    """A valid checkpoint that this attempt must not resume from; the message is a sentence for the user."""


def global_batch(document: JobDocument, world_size: int) -> int | None:
    """Rows of an optimizer step over all processes; None if the trainer's configuration does not define it."""
    config = document["config"]
    config = config.get("arguments", config)  # TRL's are nested
    try:
        return int(config["per_device_train_batch_size"]) * int(config["gradient_accumulation_steps"]) * world_size
    except (KeyError, TypeError, ValueError):
        return None


def library_versions() -> dict[str, str]:
    """Versions of the libraries that affect numerical results, as far as this interpreter has them."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def restore_newest(
    durable: Durable, identity: Identity, output: Path, config: Mapping[str, object], warn: Callable[[str], None]
) -> Commit | None:
    """Restore the newest valid checkpoint, and the best one that it refers to, to `output/checkpoint-N`.

    Returns None if there is none. Raises UnusableCheckpointError; OSError where storage fails.
    """
    every = committed(durable, identity.digest)
    for commit in every:
        try:
            _restore_both(durable, commit, every, output)
        except DamagedCheckpointError as damage:
            warn(f"checkpoint {commit.step} is damaged ({damage}): the one before it is used.")
            continue
        _check_fit(commit, identity, any(config.get(name) for name in SHARDED), warn)
        return commit
    if every:
        warn("no checkpoint is valid: training begins anew.")
    return None


def local_folder(output: Path, step: int) -> Path:
    """The trainer's folder of the checkpoint of a step."""
    return output / f"checkpoint-{step}"


def take_over(start: StartCheckpoint, output: Path) -> Path:
    """Copy another training's checkpoint, whose files were verified as inputs, to `output`; returns the folder."""
    folder = local_folder(output, start["step"])
    shutil.copytree(start["path"], folder, ignore=shutil.ignore_patterns("training_args.bin"))
    (folder / contract.TAKEN_OVER_FILE).touch()
    return folder


def _restore_both(durable: Durable, commit: Commit, every: list[Commit], output: Path) -> None:
    restore(durable, commit, local_folder(output, commit.step))
    if commit.best in (None, commit.step):
        return
    try:
        best = next((other for other in every if other.step == commit.best), None)
        if best is None:
            raise DamagedCheckpointError(f"the best one so far, checkpoint {commit.best}, is missing")
        restore(durable, best, local_folder(output, best.step))
    except DamagedCheckpointError:
        delete_tree(local_folder(output, commit.step))
        raise


def _check_fit(commit: Commit, identity: Identity, sharded: bool, warn: Callable[[str], None]) -> None:
    then, now = commit.record.get("global_batch"), identity.global_batch
    if then is not None and now is not None and then != now:
        raise UnusableCheckpointError(
            f"Checkpoint {commit.step} was made with {then} rows in a step, now there are {now}: "
            f"the resulting model would differ."
        )
    _check_processes(commit, identity, sharded, warn)
    changed = [
        f"{name} {was} (now {identity.versions.get(name, 'missing')})"
        for name, was in commit.record.get("versions", {}).items()
        if identity.versions.get(name) != was
    ]
    if changed:
        names = ", ".join(changed)
        warn(f"checkpoint {commit.step} was made with {names}: what follows may differ in its last digits.")


def _check_processes(commit: Commit, identity: Identity, sharded: bool, warn: Callable[[str], None]) -> None:
    processes = commit.record.get("world_size")
    if processes == identity.world_size:
        return
    if sharded:
        raise UnusableCheckpointError(
            f"Checkpoint {commit.step} is in parts for {processes} processes, now there are {identity.world_size}."
        )
    warn(
        f"checkpoint {commit.step} was saved by {processes} processes, now there are {identity.world_size}: "
        f"training goes on, but not as it would have without the interruption."
    )
