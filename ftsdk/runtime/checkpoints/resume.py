"""Which checkpoint an attempt goes on from: the newest that is whole and fits; or none, or a refusal. Never silently.

What must be the same is in `docs/resume.md`: the spec's digest (checkpoints of another one are never looked at) and
the global batch. Another number of processes with the same global batch is taken, with a warning; libraries of other
versions too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.checkpoints.checkpoints import Commit, DamagedError, Identity, committed, restore
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import delete_tree

LIBRARIES = ("torch", "transformers", "llamafactory", "trl", "peft", "accelerate", "bitsandbytes")
SHARDED = ("deepspeed", "fsdp")
"""Arguments under which each process saves its part of the optimizer: as many processes must read them."""


class UnfitError(Exception):
    """A whole checkpoint that this attempt must not go on from; the message is a sentence for a person."""


def global_batch(document: JobDocument, world_size: int) -> int | None:
    """Rows of an optimizer step over all processes; None if the trainer's configuration does not tell."""
    config = document["config"]
    config = config.get("arguments", config)  # TRL's have a place of their own
    try:
        return int(config["per_device_train_batch_size"]) * int(config["gradient_accumulation_steps"]) * world_size
    except (KeyError, TypeError, ValueError):
        return None


def library_versions() -> dict[str, str]:
    """Versions of what decides about numbers, as far as they are installed beside this interpreter."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def take_up(
    durable: Durable, identity: Identity, output: Path, config: Mapping[str, object], warn: Callable[[str], None]
) -> Commit | None:
    """Bring the newest whole checkpoint, and the best one that it refers to, to `output/checkpoint-N`.

    None if there is none. Raises UnfitError; OSError where storage fails.
    """
    every = committed(durable, identity.digest)
    for commit in every:
        try:
            _restore_both(durable, commit, every, output)
        except DamagedError as damage:
            warn(f"checkpoint {commit.step} is damaged ({damage}): the one before it is used.")
            continue
        _check_fit(commit, identity, any(config.get(name) for name in SHARDED), warn)
        return commit
    if every:
        warn("no checkpoint is whole: training begins anew.")
    return None


def local_folder(output: Path, step: int) -> Path:
    """Where the trainer has the checkpoint of a step."""
    return output / f"checkpoint-{step}"


def _restore_both(durable: Durable, commit: Commit, every: list[Commit], output: Path) -> None:
    restore(durable, commit, local_folder(output, commit.step))
    if commit.best in (None, commit.step):
        return
    try:
        best = next((other for other in every if other.step == commit.best), None)
        if best is None:
            raise DamagedError(f"the best one so far, checkpoint {commit.best}, is missing")
        restore(durable, best, local_folder(output, best.step))
    except DamagedError:
        delete_tree(local_folder(output, commit.step))
        raise


def _check_fit(commit: Commit, identity: Identity, sharded: bool, warn: Callable[[str], None]) -> None:
    then, now = commit.record.get("global_batch"), identity.global_batch
    if then is not None and now is not None and then != now:
        raise UnfitError(
            f"Checkpoint {commit.step} was made with {then} rows in a step, now there are {now}: "
            f"the model would be another."
        )
    processes = commit.record.get("world_size")
    if processes != identity.world_size:
        if sharded:
            raise UnfitError(
                f"Checkpoint {commit.step} is in parts for {processes} processes, now there are {identity.world_size}."
            )
        warn(
            f"checkpoint {commit.step} was saved by {processes} processes, now there are {identity.world_size}: "
            f"training goes on, but not as it would have without the interruption."
        )
    others = [
        f"{name} {was} (now {identity.versions.get(name, 'missing')})"
        for name, was in commit.record.get("versions", {}).items()
        if identity.versions.get(name) != was
    ]
    if others:
        warn(f"checkpoint {commit.step} was made with {', '.join(others)}: what follows may differ in its last digits.")
