"""The rows that a training held out, as fields of a spec that evaluates its model on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftsdk import backends
from ftsdk.errors import SpecError
from ftsdk.jobs.job import Job

SAME = ("template", "cutoff_len", "seed")
"""Hyperparameters on which the rows' tokens, and the split, depend."""


def evaluation_fields(model: str, *, data: str | None = None, method: str | None = None) -> dict[str, Any]:
    """`dataset`, `method` and `hyperparameters` of an evaluation of a model: a job's URI, or another address.

    `data` is a file of rows; without it the job's own held-out rows are taken. Raises SpecError where there are none.
    """
    scheme, mark, _ = model.partition("://")
    job = Job.attach(model) if mark and scheme in backends.names() else None
    spec = job.plan.spec if job and job.plan else None
    if spec is None or job is None:
        if data is None:
            raise SpecError(f"{model}: its held-out rows are not known here; name a file of rows with --data.")
        return {"dataset": data, "method": method or "sft"}
    given = {name: spec["hyperparameters"][name] for name in SAME if spec["hyperparameters"].get(name) is not None}
    rows = {"train": [data]} if data else _held_out(job, spec["dataset"])
    return {"dataset": rows, "method": method or {"stage": spec["method"]["stage"]}, "hyperparameters": given}


def _held_out(job: Job, dataset: dict[str, Any]) -> dict[str, Any]:
    """The training's dataset with the paths that its files have on this machine."""
    if not (dataset["eval"] or dataset["eval_fraction"] or dataset["eval_rows"]):
        raise SpecError(f"Job {job.uri} trained without held-out rows: name a file of rows with --data.")
    config, info = job.document["config"], job.document["dataset_info"]
    found = {}
    for ours, theirs in (("train", "dataset"), ("eval", "eval_dataset")):
        names = [name for name in str(config.get(theirs) or "").split(",") if name]
        found[ours] = [str(info[name].get("file_name", "")) for name in names if name in info]
        if missing := next((path for path in found[ours] if "://" not in path and not Path(path).is_file()), None):
            raise SpecError(f"Job {job.uri}: its rows {missing!r} are not on this machine; name a file with --data.")
    return {**dataset, **found, "directory": None}
