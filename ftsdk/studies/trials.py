"""The jobs of a study as they are now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from ftsdk.backends.base import JobState
from ftsdk.errors import JobNotFoundError
from ftsdk.jobs.job import Job
from ftsdk.jobs.status import Status
from ftsdk.studies.document import StopNote, StudyDocument, StudyRecord, TrialDocument
from ftsdk.studies.jobs import job_of
from ftsdk.studies.pipelines.progress import PipelineProgress
from ftsdk.studies.pipelines.readiness import Outcome, Readiness
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
    planned: TrialDocument
    """The job in the study's document."""
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
    step: str = ""
    """Name of the step, in a pipeline."""
    skipped: bool = False
    """Whether it is never started, as a step before it has failed or its condition does not hold."""

    @property
    def has_failed(self) -> bool:
        """Whether it was started and has ended without a result."""
        return self.claimed and self.state in (JobState.FAILED, JobState.CANCELLED)

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        data = {**asdict(self), "changes": dict(self.changes)}
        del data["planned"]
        return data


def trials(record: StudyRecord) -> Iterator[Trial]:
    """Every job of a study in its order."""
    claimed = record.claims()
    note = record.stop_note()
    progress = PipelineProgress(record)
    for planned in record.trials():
        step = planned.get("step")
        if planned["number"] in claimed:
            trial = _looked_at(record, planned)
        elif step:
            trial = _unclaimed_step(planned, progress.readiness(step), note)
        else:
            trial = _pending(planned, "not submitted" if note is None else note["why"])
        if step:
            progress.outcomes[step["name"]] = outcome_of(trial)
        yield trial


def outcome_of(trial: Trial) -> Outcome:
    """What a step of a pipeline has come to."""
    if trial.skipped:
        return "skipped"
    if not trial.state.terminal:
        return "open"
    return "succeeded" if trial.state is JobState.SUCCEEDED else "failed"


def ranked(results: Sequence[Trial], document: StudyDocument) -> list[Trial]:
    """The jobs that have succeeded and reported the metric, the best first."""
    measured = [trial for trial in results if trial.state is JobState.SUCCEEDED and trial.value is not None]
    return sorted(measured, key=lambda trial: trial.value or 0.0, reverse=document["goal"] == "max")


def over_limits(document: StudyDocument, results: Sequence[Trial], planned: TrialDocument) -> str:
    """Why the next job would exceed a limit of the study, or an empty text.

    Counts what has run, and for jobs that still run their estimate where it is larger.
    """
    used = _used(results)
    hours = _excess("max_hours", document["max_hours"], used[0], planned["hours"], "h")
    return hours or _excess("max_cost_usd", document["max_cost_usd"], used[1], planned["cost_usd"], "USD")


def limit_reached(document: StudyDocument, results: Sequence[Trial]) -> str:
    """Why what runs has to stop: a limit of the study is used. Empty if none is."""
    hours = _excess("max_hours", document["max_hours"], sum(trial.hours for trial in results), None, "h")
    spent = sum(trial.cost_usd or 0.0 for trial in results)
    return hours or _excess("max_cost_usd", document["max_cost_usd"], spent, None, "USD")


def _used(results: Sequence[Trial]) -> tuple[float, float]:
    """Hours and US dollars that are used, or planned for what runs."""
    hours = cost_usd = 0.0
    for trial in results:
        planned, runs = trial.planned, trial.claimed and not trial.state.terminal
        hours += max(trial.hours, planned["hours"] or 0.0 if runs else 0.0)
        cost_usd += max(trial.cost_usd or 0.0, planned["cost_usd"] or 0.0 if runs else 0.0)
    return hours, cost_usd


def _excess(name: str, limit: float | None, used: float, more: float | None, unit: str) -> str:
    if limit is None or (used < limit and used + (more or 0.0) <= limit):
        return ""
    further = "" if more is None else f", the next job is estimated at {more:.3g} {unit}"
    return f"{name} is {limit:g} {unit} and {used:.3g} are used or planned{further}."


def _pending(planned: TrialDocument, reason: str, *, claimed: bool = False, skipped: bool = False) -> Trial:
    return Trial(
        number=planned["number"],
        changes=planned["changes"],
        planned=planned,
        uri=planned["uri"],
        state=JobState.PENDING,
        claimed=claimed,
        reason=reason,
        step=_name(planned),
        skipped=skipped,
    )


def _name(planned: TrialDocument) -> str:
    step = planned.get("step")
    return step["name"] if step else ""


def _unclaimed_step(planned: TrialDocument, readiness: Readiness, note: StopNote | None) -> Trial:
    if readiness.state == "skipped":
        return _pending(planned, readiness.why, skipped=True)
    return _pending(planned, note["why"] if note else readiness.why or "not submitted")


def _looked_at(record: StudyRecord, planned: TrialDocument) -> Trial:
    step = planned.get("step")
    if step and step["push"]:
        return _push(record, planned)
    try:
        job = job_of(record, planned["number"])
        status = Status.of(job)
    except JobNotFoundError:
        return _pending(planned, "being submitted", claimed=True)
    pruned_at = record.pruned_at(planned["number"]) if "search" in record.document else None
    reason = "" if pruned_at is None else f"pruned at step {pruned_at}"
    return Trial(
        number=planned["number"],
        changes=planned["changes"],
        planned=planned,
        uri=job.uri,
        state=status.info.state,
        claimed=True,
        reason=reason or status.info.reason or "",
        value=_value(job, status, record.document["metric"]),
        hours=status.hours,
        cost_usd=status.cost_usd,
        step=_name(planned),
    )


def _push(record: StudyRecord, planned: TrialDocument) -> Trial:
    end = record.end(planned["number"])
    if end is None:
        return replace(_pending(planned, "", claimed=True), state=JobState.RUNNING)
    done = _pending(planned, "" if end["state"] == "SUCCEEDED" else end["result"], claimed=True)
    uri = end["result"] if end["state"] == "SUCCEEDED" else ""
    return replace(done, state=JobState(end["state"]), uri=uri)


def _value(job: Job, status: Status, metric: str) -> float | None:
    """The last value of a metric; the whole log of an ended job is read where its end does not have it."""
    if not metric:
        return None
    value = _last(status.metrics, metric)
    return _last(job.metrics(), metric) if value is None and status.info.state.terminal else value


def _last(reports: Sequence[Mapping[str, object]], metric: str) -> float | None:
    values = (value for report in reversed(reports) if isinstance(value := report.get(metric), int | float))
    return next((float(value) for value in values if math.isfinite(value)), None)
