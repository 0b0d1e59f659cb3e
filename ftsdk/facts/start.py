"""A checkpoint of another training that a job starts from: what it says of itself, and whether it is whole."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ftsdk.errors import SpecError
from ftsdk.facts.json_files import json_object
from ftsdk.facts.weights import ends_within, read_header
from ftsdk.storage import fingerprints
from ftsdk.storage.fingerprints import Fingerprint

FIELD = "checkpoint.start_from"
STATE, ADAPTER, OWN = "trainer_state.json", "adapter_config.json", "ftsdk_rank_0.pt"
NEEDED = (STATE, "optimizer.pt", "scheduler.pt")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")
PARTS = ("global_step*", "optimizer_*", "pytorch_model_fsdp*")
"""Folders in which DeepSpeed and FSDP save what each process holds."""
PICKLE = "training_args.bin"
"""The only file that is not needed: a pickle that a load would execute."""
_WEIGHTS_ONLY = "give the folder as `model` to start from its weights alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFacts:
    """A whole checkpoint of transformers' Trainer."""

    path: str
    """Absolute."""
    files: tuple[Fingerprint, ...]
    step: int
    max_steps: int
    epoch: float
    is_own: bool
    """Whether ftsdk's trainer saved it, with the state that makes a resume exact."""
    adapter: Mapping[str, object] | None
    """The adapter's configuration; None for a checkpoint of all weights."""
    has_value_head: bool


def inspect_start(address: str | None, root: Path) -> StartFacts | None:
    """The checkpoint in a folder; None without one. Raises SpecError for what cannot be resumed from."""
    if address is None:
        return None
    path = (root / Path(address).expanduser()).absolute()
    if "://" in address or not path.is_dir():
        raise SpecError(f"{FIELD} {address!r}: give the folder of a checkpoint on this machine ({path} is none).")
    _refuse_parts(address, path)
    state = json_object(path / STATE)
    step, max_steps, epoch = (state.get(name) for name in ("global_step", "max_steps", "epoch"))
    if not isinstance(step, int) or step < 1 or not isinstance(max_steps, int) or not isinstance(epoch, int | float):
        raise SpecError(f"{FIELD} {address!r}: its {STATE} names no step; {_WEIGHTS_ONLY}.")
    adapter = path / ADAPTER
    return StartFacts(
        path=str(path),
        files=tuple(file for file in fingerprints.below(path, FIELD) if Path(file.path).name != PICKLE),
        step=step,
        max_steps=max_steps,
        epoch=float(epoch),
        is_own=(path / OWN).is_file(),
        adapter=json_object(adapter) if adapter.is_file() else None,
        has_value_head=(path / "value_head.safetensors").is_file(),
    )


def _refuse_parts(address: str, path: Path) -> None:
    """Raise SpecError for a folder that lacks a part, or that holds one in a form that cannot be verified."""
    where = f"{FIELD} {address!r}"
    inner = sorted(p.name for p in path.glob("checkpoint-*") if (p / STATE).is_file())
    if inner and not (path / STATE).is_file():
        raise SpecError(f"{where}: give one of the checkpoints in it ({', '.join(inner)}).")
    if any(inside.is_dir() for pattern in PARTS for inside in path.glob(pattern)):
        raise SpecError(f"{where} is in parts of DeepSpeed or FSDP, which another job cannot take; {_WEIGHTS_ONLY}.")
    if missing := [name for name in NEEDED if not (path / name).is_file()]:
        raise SpecError(f"{where} lacks {' and '.join(missing)}; {_WEIGHTS_ONLY}.")
    if not any((path / name).is_file() for name in WEIGHTS):
        raise SpecError(f"{where} has no weights as safetensors; save it with `save_safetensors: true`.")
    damaged = [file.name for file in sorted(path.glob("*.safetensors")) if not _is_whole(file)]
    damaged += [name for name in NEEDED[1:] if not zipfile.is_zipfile(path / name)]
    index = path / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json_object(index).get("weight_map", {}).values())
        damaged += sorted(str(name) for name in shards if not (path / str(name)).is_file())
    if damaged:
        raise SpecError(f"{where}: {', '.join(damaged)} is incomplete; copy the checkpoint again.")


def _is_whole(file: Path) -> bool:
    try:
        return ends_within(file, read_header(file))
    except (OSError, ValueError):
        return False
