"""Checkpoints in durable storage: listing, restoring, publishing and deleting them.

- `checkpoints/checkpoint-000040/...`: files, as the trainer named them
- `checkpoints/checkpoint-000040/manifest-n0.json`: the files of node 0, with sizes and SHA-256
- `checkpoints/checkpoint-000040/COMMIT`: written last, by node 0, with the digests of the manifests; a checkpoint
  without it does not exist
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

from ftsdk import contract
from ftsdk.runtime.storage.base import Store
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import delete_tree
from ftsdk.runtime.storage.names import UnsafeNameError, relative_parts

KEEP_AT_LEAST = 2
"""The newest one may turn out to be damaged when it is restored: there must be another."""
POLL_S = 0.1
SEAL = "sha256"


class Identity(NamedTuple):
    """The job and node that a checkpoint belongs to, and what it was made with."""

    digest: str
    attempt: int
    num_nodes: int
    node: int
    world_size: int
    global_batch: int | None = None
    """Rows of an optimizer step; None if the trainer's configuration does not define it."""
    versions: Mapping[str, str] = {}
    """Versions of the libraries that affect numerical results."""


class CommitRecord(TypedDict):
    """The content of COMMIT, without its seal. Commits of earlier releases lack what is not required."""

    step: int
    digest: str
    attempt: int
    num_nodes: int
    world_size: NotRequired[int]
    global_batch: NotRequired[int | None]
    """Rows of an optimizer step over all processes."""
    versions: NotRequired[dict[str, str]]
    best: NotRequired[int | None]
    manifests: list[str | None]
    """SHA-256 of each node's manifest."""
    time: float
    """Seconds since the epoch."""


class Commit(NamedTuple):
    """A committed checkpoint."""

    step: int
    prefix: str
    record: CommitRecord

    @property
    def best(self) -> int | None:
        """Step of the best checkpoint so far, which the trainer loads at its end; None if it loads none."""
        step = self.record.get("best")
        return step if isinstance(step, int) else None


class DamagedCheckpointError(Exception):
    """A committed checkpoint does not match its manifests; the message names the file and the difference."""


def committed(durable: Store, digest: str) -> list[Commit]:
    """Committed checkpoints of this digest, newest first."""
    commits = [_commit(durable, prefix) for prefix in _folders(durable)]
    ours = [commit for commit in commits if commit and commit.record["digest"] == digest]
    return sorted(ours, key=lambda commit: commit.step, reverse=True)


def restore(durable: Store, commit: Commit, target: Path) -> None:
    """Copy a checkpoint to a local folder, verifying every byte.

    Raises DamagedCheckpointError, after deleting the local folder.
    """
    try:
        for node in range(int(commit.record["num_nodes"])):
            manifest = _manifest(durable, commit, node)
            for name, (size, sha256) in manifest.items():
                path = target.joinpath(*relative_parts(name))
                _fetch(durable, f"{commit.prefix}/{name}", path, size, sha256)
    except UnsafeNameError as problem:
        delete_tree(target)
        raise DamagedCheckpointError(f"a manifest names a file that no training wrote: {problem}") from None
    except DamagedCheckpointError:
        delete_tree(target)
        raise


EVENTS_TIMEOUT_S = 10.0


def publish(
    durable: Durable,
    identity: Identity,
    step: int,
    source: Path,
    should_wait: Callable[[], bool],
    best: int | None = None,
) -> int | None:
    """Store this node's part of a checkpoint; node 0 commits once every part is stored.

    Returns the bytes of this node's part, or None if `should_wait()` became False before all parts were stored.
    """
    prefix = contract.checkpoint_key(step)
    total = put_folder(durable, prefix, source, identity)
    if identity.node:
        return total
    while None in (manifests := [_part(durable, prefix, node, identity) for node in range(identity.num_nodes)]):
        if not should_wait():
            return None
        time.sleep(POLL_S)
    record: CommitRecord = {
        "step": step,
        "digest": identity.digest,
        "attempt": identity.attempt,
        "num_nodes": identity.num_nodes,
        "world_size": identity.world_size,
        "global_batch": identity.global_batch,
        "versions": dict(identity.versions),
        "best": best,
        "manifests": manifests,
        "time": time.time(),
    }
    durable.settle(EVENTS_TIMEOUT_S, contract.EVENTS_DIR)  # a resume does not report the steps before it again
    durable.put(f"{prefix}/{contract.COMMIT_FILE}", json.dumps({**record, SEAL: _seal(record)}).encode())
    return total


def put_folder(
    durable: Durable, prefix: str, source: Path, identity: Identity, include: Callable[[str], bool] = lambda _: True
) -> int:
    """Store a folder's files and, last, their manifest; returns their total bytes."""
    files = {}
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_file() and include(name):
            files[name] = durable.put_file(f"{prefix}/{name}", path)
    manifest = {"attempt": identity.attempt, "files": files}
    durable.put(f"{prefix}/{contract.manifest_key(identity.node)}", json.dumps(manifest).encode())
    return sum(written.bytes for written in files.values())


def retain(durable: Durable, digest: str, keep: int) -> None:
    """Delete all checkpoints older than the newest `keep`, but for the best ones that these refer to."""
    every = committed(durable, digest)
    newest = every[: max(keep, KEEP_AT_LEAST)]
    bests = {commit.best for commit in newest}
    kept = {commit.prefix for commit in every if commit in newest or commit.step in bests}
    for prefix in _folders(durable):
        if newest and prefix not in kept and _step_of(prefix) < newest[0].step:
            durable.delete(f"{prefix}/{contract.COMMIT_FILE}")  # first: a partly deleted checkpoint must not exist
            durable.delete_folder(prefix)


def _commit(durable: Store, prefix: str) -> Commit | None:
    """The COMMIT of a folder; None if it is missing, incomplete, or another folder's."""
    try:
        record = json.loads(durable.read(f"{prefix}/{contract.COMMIT_FILE}"))
        is_whole = record.pop(SEAL) == _seal(record) and contract.checkpoint_key(record["step"]) == prefix
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Commit(record["step"], prefix, record) if is_whole else None


def _seal(record: Mapping[str, object]) -> str:
    """SHA-256 of a COMMIT's own content: with a flipped bit it may still be valid JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _folders(durable: Store) -> list[str]:
    """Prefixes of all checkpoints, committed or not."""
    return sorted({"/".join(item.key.split("/")[:2]) for item in durable.list(f"{contract.CHECKPOINTS_DIR}/")})


def _step_of(prefix: str) -> int:
    step = prefix.rpartition("-")[2]
    return int(step) if step.isdecimal() else 0


def _manifest(durable: Store, commit: Commit, node: int) -> dict[str, tuple[int, str]]:
    name = contract.manifest_key(node)
    try:
        data = durable.read(f"{commit.prefix}/{name}")
    except FileNotFoundError:
        raise DamagedCheckpointError(f"{name} is missing") from None
    try:
        if hashlib.sha256(data).hexdigest() != commit.record["manifests"][node]:
            raise DamagedCheckpointError(f"{name} is not the one that was committed")
        return {str(file): (int(size), str(sha256)) for file, (size, sha256) in json.loads(data)["files"].items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise DamagedCheckpointError(f"{name} is no manifest") from None


def _fetch(durable: Store, key: str, target: Path, size: int, sha256: str) -> None:
    try:
        written = durable.fetch(key, target)
    except FileNotFoundError:
        raise DamagedCheckpointError(f"{target.name} is missing") from None
    if written.bytes != size:
        raise DamagedCheckpointError(f"{target.name} has {written.bytes} bytes, {size} were written")
    if written.sha256 != sha256:
        raise DamagedCheckpointError(f"the content of {target.name} differs from what was written")


def _part(durable: Durable, prefix: str, node: int, identity: Identity) -> str | None:
    """SHA-256 of a node's manifest of this attempt; None until its part is complete."""
    try:
        data = durable.read(f"{prefix}/{contract.manifest_key(node)}")
        return hashlib.sha256(data).hexdigest() if json.loads(data)["attempt"] == identity.attempt else None
    except (OSError, ValueError):
        return None
