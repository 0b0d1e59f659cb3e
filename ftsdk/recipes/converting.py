"""A spec as a file: in our words, or as a LLaMA-Factory YAML with its dataset_info.json."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.errors import UnsupportedError
from ftsdk.facts import inspect
from ftsdk.spec import JobSpec

OURS_INSIDE = frozenset({"save_strategy", "run_name"})
"""Arguments that mean something to our runtime only, or are written anew."""
DEFAULT_SAVE_STEPS = 500
"""transformers' own."""


class LlamaFactoryFile(NamedTuple):
    """A training for `llamafactory-cli train`."""

    config: dict[str, Any]
    dataset_info: dict[str, Any]
    """What dataset_info.json in `config["dataset_dir"]` has to hold; empty if it lies on the hub."""


def as_data(spec: JobSpec, *, read_from: Path, written_to: Path) -> dict[str, Any]:
    """The spec's own YAML, only what was said, with relative paths for a file in the folder `written_to`."""
    data = spec.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    if (read_from / spec.model).is_dir():
        data["model"] = _moved(spec.model, read_from, written_to)
    dataset = dict(data["dataset"])
    if spec.dataset.directory is not None and not spec.dataset.on_hub:
        dataset["directory"] = _moved(spec.dataset.directory, read_from, written_to)
    for part in ("train", "eval"):
        if dataset.get(part):
            dataset[part] = [_moved(a, read_from, written_to) if (read_from / a).exists() else a for a in dataset[part]]
    data["dataset"] = {key: value for key, value in dataset.items() if value not in ([], {})}
    return {key: value for key, value in data.items() if value != {}}


def _moved(path: str, read_from: Path, written_to: Path) -> str:
    if Path(path).is_absolute() or read_from.absolute() == written_to.absolute():
        return path
    return Path(os.path.relpath(read_from.absolute() / path, written_to.absolute())).as_posix()


def as_llamafactory(spec: JobSpec, *, folder: Path, dataset_dir: Path) -> LlamaFactoryFile:
    """The training as LLaMA-Factory's own configuration, with absolute paths of this machine.

    Raises UnsupportedError for a method that another trainer does, and what `inspect` raises.
    """
    facts = inspect(spec, folder=folder)
    made = render(spec, facts, Layout(durable="", scratch="", inputs={}))
    if made.trainer != "llamafactory":
        raise UnsupportedError(f"method {spec.method.stage} is not LLaMA-Factory's; it is trained with {made.trainer}.")
    kept = {key: value for key, value in made.config.items() if key not in OURS_INSIDE}
    steps = spec.checkpoint.every_steps or spec.hyperparameters.save_steps or DEFAULT_SAVE_STEPS
    config = {
        "dataset_dir": str(dataset_dir.absolute()),
        **kept,
        "output_dir": f"saves/{spec.name}",
        "save_steps": steps,
        "save_total_limit": spec.checkpoint.keep,
    }
    return LlamaFactoryFile(config, {} if spec.dataset.on_hub else made.dataset_info)
