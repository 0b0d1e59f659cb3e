"""Checkpoints in durable storage: which exist, which are whole, restoring one, publishing one.

- `checkpoints/checkpoint-000040/...`: files, as the trainer named them
- `checkpoints/checkpoint-000040/manifest-n0.json`: what node 0 wrote, with sizes and SHA-256
- `checkpoints/checkpoint-000040/COMMIT`: written last, by node 0; before it, nothing of this counts
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ftsdk import contract
from ftsdk.runtime.io import Durable
from ftsdk.runtime.io.mount import delete_tree

KEEP_AT_LEAST = 2
"""One that is being resumed from may turn out damaged: there must be another."""
POLL_S = 0.1


class Identity(NamedTuple):
    """What a checkpoint belongs to."""

    digest: str
    attempt: int
    num_nodes: int
    node: int
    world_size: int


class Commit(NamedTuple):
    """A committed checkpoint."""

    step: int
    prefix: str
    record: dict[str, Any]


class DamagedError(Exception):
    """A committed checkpoint is not what its manifests say; the message says which file and how."""


def committed(durable: Durable, digest: str) -> list[Commit]:
    """Committed checkpoints of this digest, newest first."""
    found = []
    for prefix in _folders(durable):
        try:
            record = json.loads(durable.read(f"{prefix}/{contract.COMMIT_FILE}"))
            if record["digest"] == digest:
                found.append(Commit(int(record["step"]), prefix, record))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no COMMIT, or a torn one, which is none
    return sorted(found, key=lambda commit: commit.step, reverse=True)


def restore(durable: Durable, commit: Commit, target: Path) -> None:
    """Bring a checkpoint to a local folder, verifying every byte. Raises DamagedError and leaves nothing."""
    try:
        for node in range(int(commit.record["num_nodes"])):
            manifest = _manifest(durable, commit, node)
            for name, (size, sha256) in manifest.items():
                _fetch(durable, f"{commit.prefix}/{name}", target / name, size, sha256)
    except DamagedError:
        delete_tree(target)
        raise


def publish(durable: Durable, identity: Identity, step: int, source: Path, patience: Callable[[], bool]) -> int | None:
    """Store this node's part of a checkpoint; node 0 commits once every part is there.

    Returns the bytes of this node's part, or None if `patience()` ended before the other nodes' parts came.
    """
    prefix = contract.checkpoint_key(step)
    total = put_folder(durable, prefix, source, identity)
    if identity.node:
        return total
    while not all(_is_of(durable, prefix, node, identity) for node in range(identity.num_nodes)):
        if not patience():
            return None
        time.sleep(POLL_S)
    record = {
        "step": step,
        "digest": identity.digest,
        "attempt": identity.attempt,
        "num_nodes": identity.num_nodes,
        "world_size": identity.world_size,
        "time": time.time(),
    }
    durable.put_bytes(f"{prefix}/{contract.COMMIT_FILE}", json.dumps(record).encode())
    return total


def put_folder(
    durable: Durable, prefix: str, source: Path, identity: Identity, wanted: Callable[[str], bool] = lambda _: True
) -> int:
    """Store a folder's files and, last, their manifest; returns their bytes."""
    files = {}
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_file() and wanted(name):
            files[name] = durable.put_file(f"{prefix}/{name}", path)
    manifest = {"attempt": identity.attempt, "files": files}
    durable.put_bytes(f"{prefix}/{contract.manifest_key(identity.node)}", json.dumps(manifest).encode())
    return sum(written.bytes for written in files.values())


def retain(durable: Durable, digest: str, keep: int) -> None:
    """Delete all but the newest `keep` committed checkpoints, and older ones that never came to their COMMIT."""
    newest = committed(durable, digest)[: max(keep, KEEP_AT_LEAST)]
    kept = {commit.prefix for commit in newest}
    for prefix in _folders(durable):
        if newest and prefix not in kept and _step_of(prefix) < newest[0].step:
            durable.delete(f"{prefix}/{contract.COMMIT_FILE}")  # first: what is half deleted is no checkpoint
            durable.delete(prefix)


def _folders(durable: Durable) -> list[str]:
    """Prefixes of all checkpoints, committed or not."""
    return sorted({"/".join(key.split("/")[:2]) for key in durable.list(contract.CHECKPOINTS_DIR)})


def _step_of(prefix: str) -> int:
    step = prefix.rpartition("-")[2]
    return int(step) if step.isdecimal() else 0


def _manifest(durable: Durable, commit: Commit, node: int) -> dict[str, tuple[int, str]]:
    name = contract.manifest_key(node)
    try:
        files: dict[str, tuple[int, str]] = json.loads(durable.read(f"{commit.prefix}/{name}"))["files"]
        return files
    except (OSError, ValueError, KeyError) as problem:
        raise DamagedError(f"{name} cannot be read ({problem})") from problem


def _fetch(durable: Durable, key: str, target: Path, size: int, sha256: str) -> None:
    try:
        written = durable.fetch(key, target)
    except FileNotFoundError:
        raise DamagedError(f"{target.name} is missing") from None
    if written.bytes != size:
        raise DamagedError(f"{target.name} has {written.bytes} bytes, {size} were written")
    if written.sha256 != sha256:
        raise DamagedError(f"{target.name} has other content than was written")


def _is_of(durable: Durable, prefix: str, node: int, identity: Identity) -> bool:
    """Whether a node's part of this attempt is complete."""
    try:
        manifest = json.loads(durable.read(f"{prefix}/{contract.manifest_key(node)}"))
    except (OSError, ValueError):
        return False
    return bool(manifest["attempt"] == identity.attempt)
