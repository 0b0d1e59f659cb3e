"""The jobs of a study as they are now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from ftsdk import backends
from ftsdk.backends.base import JobState
from ftsdk.errors import JobNotFoundError
from ftsdk.jobs.job import Job
from ftsdk.jobs.status import Status
from ftsdk.studies.document import StudyDocument, StudyRecord, TrialDocument
from ftsdk.studies.space import Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One job of a study, now."""

    number: int
    """1-based."""
    changes: Changes
    """Key of the spec -> its value in this job."""
    uri: str
    state: JobState
    """PENDING too for a job that is not submitted yet."""
    claimed: bool
    """Whether a watcher has submitted it, or is about to."""
    reason: str = ""
    """Why it ended, or why it waits."""
    value: float | None = None
    """The last value of the study's metric; None before the first."""
    hours: float = 0.0
    """Hours of running so far."""
    cost_usd: float | None = 0.0
    """US dollars so far; None if a price is unknown."""

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return {**asdict(self), "changes": dict(self.changes)}


def job_of(record: StudyRecord, number: int) -> Job:
    """The handle on a job, with the backend and options it was planned for."""
    plan = record.plan(number)
    return Job(plan.uri, backends.at(plan.uri, plan.options))


def trials(record: StudyRecord) -> Iterator[Trial]:
    """Every job of a study in its order."""
    claimed = record.claims()
    note = record.stop_note()
    for planned in record.document["trials"]:
        if planned["number"] in claimed:
            yield _looked_at(record, planned)
        else:
            yield _pending(planned, "not submitted" if note is None else note["why"])


def ranked(results: Sequence[Trial], document: StudyDocument) -> list[Trial]:
    """The jobs that have succeeded and reported the metric, the best first."""
    measured = [trial for trial in results if trial.state is JobState.SUCCEEDED and trial.value is not None]
    return sorted(measured, key=lambda trial: trial.value or 0.0, reverse=document["goal"] == "max")


def over_limits(document: StudyDocument, results: Sequence[Trial], planned: TrialDocument) -> str:
    """Why the next job would exceed a limit of the study, or an empty text.

    Counts what has run, and for jobs that still run their estimate where it is larger.
    """
    used = _used(document, results)
    hours = _excess("max_hours", document["max_hours"], used[0], planned["hours"], "h")
    return hours or _excess("max_cost_usd", document["max_cost_usd"], used[1], planned["cost_usd"], "USD")


def limit_reached(document: StudyDocument, results: Sequence[Trial]) -> str:
    """Why what runs has to stop: a limit of the study is used. Empty if none is."""
    hours = _excess("max_hours", document["max_hours"], sum(trial.hours for trial in results), None, "h")
    spent = sum(trial.cost_usd or 0.0 for trial in results)
    return hours or _excess("max_cost_usd", document["max_cost_usd"], spent, None, "USD")


def _used(document: StudyDocument, results: Sequence[Trial]) -> tuple[float, float]:
    """Hours and US dollars that are used, or planned for what runs."""
    hours = cost_usd = 0.0
    for trial, planned in zip(results, document["trials"], strict=True):
        runs = trial.claimed and not trial.state.terminal
        hours += max(trial.hours, planned["hours"] or 0.0 if runs else 0.0)
        cost_usd += max(trial.cost_usd or 0.0, planned["cost_usd"] or 0.0 if runs else 0.0)
    return hours, cost_usd


def _excess(name: str, limit: float | None, used: float, more: float | None, unit: str) -> str:
    if limit is None or (used < limit and used + (more or 0.0) <= limit):
        return ""
    further = "" if more is None else f", the next job is estimated at {more:.3g} {unit}"
    return f"{name} is {limit:g} {unit} and {used:.3g} are used or planned{further}."


def _pending(planned: TrialDocument, reason: str, *, claimed: bool = False) -> Trial:
    return Trial(
        number=planned["number"],
        changes=planned["changes"],
        uri=planned["uri"],
        state=JobState.PENDING,
        claimed=claimed,
        reason=reason,
    )


def _looked_at(record: StudyRecord, planned: TrialDocument) -> Trial:
    job = job_of(record, planned["number"])
    try:
        status = Status.of(job)
    except JobNotFoundError:
        return _pending(planned, "being submitted", claimed=True)
    return Trial(
        number=planned["number"],
        changes=planned["changes"],
        uri=planned["uri"],
        state=status.info.state,
        claimed=True,
        reason=status.info.reason or "",
        value=_value(job, status, record.document["metric"]),
        hours=status.hours,
        cost_usd=status.cost_usd,
    )


def _value(job: Job, status: Status, metric: str) -> float | None:
    """The last value of a metric; the whole log of an ended job is read where its end does not have it."""
    value = _last(status.metrics, metric)
    return _last(job.metrics(), metric) if value is None and status.info.state.terminal else value


def _last(reports: Sequence[Mapping[str, object]], metric: str) -> float | None:
    values = (value for report in reversed(reports) if isinstance(value := report.get(metric), int | float))
    return next((float(value) for value in values if math.isfinite(value)), None)
