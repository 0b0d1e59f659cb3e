"""The rows that a training held out, as fields of a spec that evaluates its model on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

from ftsdk import backends
from ftsdk.contract.spec_document import DatasetDocument, MethodDocument
from ftsdk.errors import SpecError
from ftsdk.facts.sources import WILDCARDS
from ftsdk.jobs.job import Job


class EvaluationFields(TypedDict):
    """Fields of a spec."""

    dataset: str | Mapping[str, object]
    method: str | MethodDocument
    hyperparameters: NotRequired[Mapping[str, object]]


SAME = ("template", "cutoff_len", "seed")
"""Hyperparameters on which the rows' tokens, and the split, depend."""


def evaluation_fields(model: str, *, data: str | None = None, method: str | None = None) -> EvaluationFields:
    """`dataset`, `method` and `hyperparameters` of an evaluation of a model: a job's URI, or another address.

    `data` is a file of rows; without it the job's own held-out rows are taken. Raises SpecError where there are none.
    """
    scheme, mark, _ = model.partition("://")
    job = Job.attach(model) if mark and scheme in backends.names() else None
    origin = job.document.get("origin") if job else None
    if job is None or origin is None:
        if data is None:
            raise SpecError(f"{model}: its held-out rows are not known here; name a file of rows with --data.")
        return {"dataset": data, "method": method or "sft"}
    spec = origin["spec"]
    given = {name: spec["hyperparameters"][name] for name in SAME if spec["hyperparameters"].get(name) is not None}
    rows: Mapping[str, object] = {"train": [data]} if data else _held_out(job, spec["dataset"], Path(origin["folder"]))
    return {"dataset": rows, "method": method or {"stage": spec["method"]["stage"]}, "hyperparameters": given}


def _held_out(job: Job, dataset: DatasetDocument, folder: Path) -> DatasetDocument:
    """The training's dataset with addresses that do not depend on the current folder."""
    if not (dataset["eval"] or dataset["eval_fraction"] or dataset["eval_rows"]):
        raise SpecError(f"Job {job.uri} trained without held-out rows: name a file of rows with --data.")
    staged = {upload.source: upload.target for upload in job.plan.uploads} if job.plan else {}
    directory = str(folder / dataset["directory"]) if dataset["directory"] else None

    def address(path: str) -> str:
        here = folder / Path(path).expanduser()
        if "://" in path or (directory and not here.exists()):  # the latter is a name in its dataset_info.json
            return path
        if not here.exists() and not set(WILDCARDS) & set(path) and str(here) not in staged:
            raise SpecError(f"Job {job.uri}: its rows {path!r} are not on this machine; name a file with --data.")
        return str(here) if here.exists() else staged.get(str(here), str(here))

    train, held_out = ([address(path) for path in paths] for paths in (dataset["train"], dataset["eval"]))
    return {**dataset, "train": train, "eval": held_out, "directory": directory}
