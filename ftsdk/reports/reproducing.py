"""Doing a training again, and saying what is equal."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftsdk.contract.lineage import LineageRecord
from ftsdk.errors import SpecError
from ftsdk.estimator import Estimator
from ftsdk.jobs.job import Job
from ftsdk.models.lineage import weights
from ftsdk.spec import JobSpec

Difference = tuple[Any, Any]
"""(before, now); None stands for what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What a repeated training has in common with the first one."""

    first: str
    again: str
    """URIs of the jobs."""
    equal: bool
    """Whether every file with weights is the same, bit for bit."""
    files: dict[str, bool]
    """File with weights -> whether it is the same."""
    versions: dict[str, Difference]
    """Packages of different versions."""
    machine: dict[str, Difference]
    data: dict[str, Difference]
    """Input file -> SHA-256."""
    seed: Difference | None
    metrics: dict[str, Difference]
    """Final metrics that depend on nothing but the training, where they differ."""

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return asdict(self)

    @property
    def explanation(self) -> str:
        """One sentence: equal, or what may explain that it is not."""
        if self.equal:
            return f"The weights are equal, bit for bit ({len(self.files)} files)."
        causes = [
            f"{name} ({', '.join(sorted(differences))})"
            for name, differences in (("versions", self.versions), ("machine", self.machine), ("data", self.data))
            if differences
        ]
        causes += ["seed"] if self.seed else []
        because = f"what differs: {'; '.join(causes)}" if causes else UNEXPLAINED
        return f"The weights are not equal; {because}."


UNEXPLAINED = (
    "versions, machine, data and seed are the same, so the arithmetic itself varies between runs, as it does on "
    "accelerators without deterministic kernels"
)
EXACT_METRICS = ("loss", "eval_loss", "train_loss", "reward", "eval_reward")


def reproduce(
    model: LineageRecord,
    *,
    on_warning: Callable[[str], None] = warnings.warn,
    on_submit: Callable[[Job], None] = lambda job: None,
) -> Reproduction:
    """Train the same again, on the same backend, wait for it, and compare the two models.

    Relative paths of the spec are taken from the folder that the first job was submitted from. `on_submit` is called
    with the new job. Raises SpecError for a record without a spec, and whatever `Estimator.fit` raises.
    """
    estimator = estimator_of(model)
    job = estimator.fit(again=True, wait=False, on_warning=on_warning)
    on_submit(job)
    job.wait()
    return compare_records(model, job.model().lineage)


def estimator_of(record: LineageRecord) -> Estimator:
    """The training that a record describes, ready to run. Raises SpecError for a record of an earlier release."""
    if "spec" not in record:
        raise SpecError(
            f"The model of {record.get('job', record['name'])} was made by a release of ftsdk that recorded no spec: "
            f"submit its job file with --again."
        )
    folder = Path(record.get("folder") or ".")
    if not folder.is_dir():
        raise SpecError(f"The job was submitted from {folder}, which is not on this machine: run this where it is.")
    spec = JobSpec.model_validate_json(json.dumps(record["spec"]))
    return Estimator(spec, backend=record["backend"], options=_given(record.get("options", {})), folder=folder)


def compare_records(first: LineageRecord, again: LineageRecord) -> Reproduction:
    """What two models of the same training have in common."""
    one, other = weights(first), weights(again)
    files = {name: one.get(name) == other.get(name) for name in sorted({*one, *other})}
    seeds = first.get("seed"), again.get("seed")
    return Reproduction(
        first=first.get("job", first["name"]),
        again=again.get("job", again["name"]),
        equal=bool(files) and all(files.values()),
        files=files,
        versions=_differences(first.get("versions", {}), again.get("versions", {})),
        machine=_differences(first.get("machine", {}), again.get("machine", {})),
        data=_differences(_hashes(first), _hashes(again)),
        seed=seeds if seeds[0] != seeds[1] else None,
        metrics=_differences(_exact(first), _exact(again)),
    )


def _given(options: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _hashes(record: LineageRecord) -> dict[str, str]:
    return {f"{file['role']}/{file['name']}": file["sha256"] for file in record.get("inputs", [])}


def _exact(record: LineageRecord) -> dict[str, object]:
    return {name: value for name, value in record.get("metrics", {}).items() if name in EXACT_METRICS}


def _differences(first: Mapping[str, object], again: Mapping[str, object]) -> dict[str, Difference]:
    """Key -> values, where the two differ. A file or package on one side only counts."""
    names = sorted({*first, *again})
    return {name: (first.get(name), again.get(name)) for name in names if first.get(name) != again.get(name)}
