"""A spec as a file: a YAML of ftsdk, or a LLaMA-Factory YAML with its dataset_info.json."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ftsdk.contract.documents import DatasetEntry
from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.errors import UnsupportedError
from ftsdk.facts import inspect
from ftsdk.spec import JobSpec

RUNTIME_ONLY = frozenset({"save_strategy", "run_name"})
"""Arguments for ftsdk's runtime only, or that are set to other values."""
DEFAULT_SAVE_STEPS = 500
"""transformers' default."""


class LlamaFactoryFile(NamedTuple):
    """A training for `llamafactory-cli train`."""

    config: dict[str, object]
    dataset_info: dict[str, DatasetEntry]
    """Content of dataset_info.json in `config["dataset_dir"]`; empty for data sets on a hub."""


def as_data(spec: JobSpec, *, read_from: Path, written_to: Path) -> dict[str, object]:
    """The spec as YAML data: only the fields that are set, with paths relative to the folder `written_to`."""
    data = spec.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    if (read_from / spec.model).is_dir():
        data["model"] = _relative(spec.model, read_from, written_to)
    dataset = dict(data["dataset"])
    if spec.dataset.directory is not None and not spec.dataset.on_hub:
        dataset["directory"] = _relative(spec.dataset.directory, read_from, written_to)
    for part in ("train", "eval"):
        if dataset.get(part):
            dataset[part] = [
                _relative(a, read_from, written_to) if (read_from / a).exists() else a for a in dataset[part]
            ]
    data["dataset"] = {key: value for key, value in dataset.items() if value not in ([], {})}
    return {key: value for key, value in data.items() if value != {}}


def _relative(path: str, read_from: Path, written_to: Path) -> str:
    if Path(path).is_absolute() or read_from.absolute() == written_to.absolute():
        return path
    return Path(os.path.relpath(read_from.absolute() / path, written_to.absolute())).as_posix()


def as_llamafactory(spec: JobSpec, *, folder: Path, dataset_dir: Path) -> LlamaFactoryFile:
    """The training as LLaMA-Factory's own configuration, with absolute paths of this machine.

    Raises UnsupportedError for a method of another trainer, and the errors of `inspect`.
    """
    facts = inspect(spec, folder=folder)
    rendered = render(spec, facts, Layout(durable="", scratch="", inputs={}))
    if rendered.trainer != "llamafactory":
        raise UnsupportedError(
            f"method {spec.method.stage} is not LLaMA-Factory's; it is trained with {rendered.trainer}."
        )
    if "peft" in rendered.config:
        raise UnsupportedError(f"tuning {spec.tuning.type} is none of LLaMA-Factory's own: ftsdk lets peft create it.")
    kept = {key: value for key, value in rendered.config.items() if key not in RUNTIME_ONLY}
    steps = spec.checkpoint.every_steps or spec.hyperparameters.save_steps or DEFAULT_SAVE_STEPS
    config = {
        "dataset_dir": str(dataset_dir.absolute()),
        **kept,
        "output_dir": f"saves/{spec.name}",
        "save_steps": steps,
        "save_total_limit": spec.checkpoint.keep,
    }
    return LlamaFactoryFile(config, {} if spec.dataset.on_hub else rendered.dataset_info)
