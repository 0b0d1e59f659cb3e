"""Comparing jobs: what differs in their specs, their curves over each other, evaluations, time, cost, hardware."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from ftsdk.contract.lineage import LineageRecord
from ftsdk.errors import SpecError
from ftsdk.jobs import history
from ftsdk.jobs.job import Job
from ftsdk.jobs.metrics import MetricRecord, MetricRecords
from ftsdk.models import lineage
from ftsdk.terminal import notebook

SAME_FOR_NONE = ("name",)
"""Keys of a spec that always differ and say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedJob:
    """One job of a comparison."""

    uri: str
    state: str
    record: LineageRecord
    metrics: MetricRecords
    hours: float
    cost_usd: float | None
    """None if a price is unknown."""

    @property
    def label(self) -> str:
        """The job's name without its backend."""
        return self.uri.rpartition("/")[2]

    @property
    def best(self) -> MetricRecord | None:
        """The record of the lowest held-out loss, else of the highest held-out reward; None without either."""
        rows = self.metrics
        losses = [row for row in rows if is_number(row.get("eval_loss"))]
        rewards = [row for row in rows if is_number(row.get("eval_reward"))]
        if losses:
            return min(losses, key=lambda row: row["eval_loss"])
        return max(rewards, key=lambda row: row["eval_reward"]) if rewards else None

    def final(self, name: str) -> float | None:
        """The last value of a metric that is a number; None if there is none."""
        values: list[float] = [value for row in self.metrics if is_number(value := row.get(name))]
        return float(values[-1]) if values else None

    @property
    def hardware(self) -> str:
        """Number and name of the accelerators, or the processor; `unknown` for a job that has published no model."""
        machine = self.record.get("machine")
        if not machine:
            return "unknown"
        nodes = f"{self.record['num_nodes']} × " if self.record.get("num_nodes", 1) > 1 else ""
        cards = machine["accelerators"]
        return f"{nodes}{len(cards)} × {cards[0]}" if cards else f"{nodes}{machine['cpus']} CPUs"

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return {
            "uri": self.uri,
            "state": self.state,
            "loss": self.final("loss"),
            "eval_loss": self.final("eval_loss"),
            "best": dict(self.best) if self.best else None,
            "hours": self.hours,
            "cost_usd": self.cost_usd,
            "hardware": self.hardware,
            "evaluations": self.record.get("evaluations", []),
            "metrics": self.metrics.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several jobs side by side."""

    jobs: tuple[ComparedJob, ...]
    differences: dict[str, tuple[object, ...]]
    """Key of the spec, such as `tuning.rank` -> its value in each job; only keys whose values differ."""

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return {"differences": self.differences, "jobs": [job.to_json() for job in self.jobs]}

    def curves(self) -> dict[str, MetricRecords]:
        """The jobs' metrics by their labels, for `ftsdk.terminal.overlay`."""
        return {job.label: job.metrics for job in self.jobs}

    def rows(self) -> Iterator[tuple[str, ...]]:
        """A table with a row for each property and a column for each job; properties that no job has are left out."""
        yield ("", *(job.label for job in self.jobs))
        yield from ((key, *map(str, values)) for key, values in self.differences.items())
        for name, values in _results(self.jobs):
            if any(value != "-" for value in values):
                yield (name, *values)

    def _repr_html_(self) -> str:
        """The comparison in a notebook."""
        header, *rows = self.rows()
        shown = {row[0]: "  |  ".join(row[1:]) for row in rows}
        return notebook.table("  |  ".join(header[1:]), dict(shown))


def compare(jobs: Sequence[Job | str]) -> Comparison:
    """Compare two jobs or more, by their URIs or names or as `Job`s; running and failed ones too.

    Raises SpecError for fewer than two, JobNotFoundError for one that does not exist.
    """
    attached = [job if isinstance(job, Job) else Job.attach(job) for job in jobs]
    if len({job.uri for job in attached}) < 2:
        raise SpecError("compare needs at least two different jobs: name their URIs (`ftsdk jobs` lists them).")
    compared = tuple(map(_compared, attached))
    return Comparison(jobs=compared, differences=differences([job.record.get("spec", {}) for job in compared]))


def differences(specs: Sequence[Mapping[str, object]]) -> dict[str, tuple[object, ...]]:
    """Dotted key -> value in each spec (None if it is missing), for the keys whose values are not all equal."""
    flat = [dict(_flattened(spec)) for spec in specs]
    names = dict.fromkeys(name for spec in flat for name in spec if name not in SAME_FOR_NONE)
    values = {name: tuple(spec.get(name) for spec in flat) for name in names}
    return {name: per_job for name, per_job in values.items() if any(value != per_job[0] for value in per_job)}


def is_number(value: object) -> TypeGuard[float]:
    """Whether a metric's value can be drawn and compared."""
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")


def _compared(job: Job) -> ComparedJob:
    info = job.info()
    attempts = history.history(job.store, info, num_nodes=job.document["num_nodes"], now=time.time())
    return ComparedJob(
        uri=job.uri,
        state=str(info.state),
        record=lineage.read(job.store, job.document, job.uri),
        metrics=job.metrics(),
        hours=history.hours(attempts),
        cost_usd=history.cost_usd(attempts),
    )


def _flattened(value: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flattened(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner


def _results(jobs: Sequence[ComparedJob]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "state", tuple(job.state for job in jobs)
    for name in ("loss", "eval_loss", "reward", "eval_reward"):
        yield f"final {name}", tuple(_number(job.final(name)) for job in jobs)
    yield "best step", tuple(str(job.best["step"]) if job.best else "-" for job in jobs)
    yield "best eval_loss", tuple(_number(job.best.get("eval_loss")) if job.best else "-" for job in jobs)
    for name in dict.fromkeys(name for job in jobs for name in evaluation_metrics(job.record)):
        yield name, tuple(_number(evaluation_metrics(job.record).get(name)) for job in jobs)
    yield "hours", tuple(f"{job.hours:.3g}" for job in jobs)
    yield "cost", tuple("-" if job.cost_usd is None else f"{job.cost_usd:.2f} USD" for job in jobs)
    yield "hardware", tuple(job.hardware for job in jobs)


def evaluation_metrics(record: LineageRecord) -> dict[str, float]:
    """`NAME METRIC` -> value, over all evaluations of a model."""
    return {
        f"{evaluation['name']} {metric}": float(value)
        for evaluation in record.get("evaluations", [])
        for metric, figures in lineage.measured(evaluation).items()
        if is_number(value := figures.get("value"))
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
