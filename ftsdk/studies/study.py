"""Study: the handle on a sweep. A name is all it needs, so any process of this machine can open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from ftsdk.backends.base import JobState
from ftsdk.errors import JobFailedError
from ftsdk.jobs.job import Job
from ftsdk.studies import document, driving
from ftsdk.studies.document import StudyDocument, StudyRecord
from ftsdk.studies.jobs import job_of
from ftsdk.studies.space import SEED
from ftsdk.studies.trials import Trial, over_limits, ranked, trials


class Study(StudyRecord):
    """Many jobs as one. `study.wait()`, `study.status()`, `study.best()`, `study.cancel()`.

    `Study(name)` opens one; a method raises JobNotFoundError if this machine has none of that name.
    """

    def __repr__(self) -> str:
        return f"Study({self.uri!r})"

    def status(self) -> StudyStatus:
        """Every job as it is now, the best so far, hours and cost."""
        note = self.stop_note()
        return StudyStatus(document=self.document, trials=tuple(trials(self)), stopped=note["why"] if note else "")

    def wait(self, *, once: bool = False, on_event: Callable[[str], None] = print) -> None:
        """Start the jobs one after another and wait until all have ended; any number of processes may do so at once.

        `on_event` is called with a sentence for each change; with `once` what may start now is started, no more.
        """
        self.document  # noqa: B018 - raises for a study that does not exist
        for sentence in driving.drive(self, once=once):
            on_event(sentence)

    def best(self) -> Job:
        """The job with the best value of the metric. Raises JobFailedError if none has succeeded and reported it."""
        best = self.status().best
        if best is None:
            raise JobFailedError(
                f"No job of {self.uri} has succeeded and reported {self.document['metric']}: `ftsdk status {self.uri}`."
            )
        return job_of(self, best.number)

    def cancel(self) -> None:
        """Start no further job, and make those that run save their state and stop; returns without waiting for it."""
        self.document  # noqa: B018
        driving.cancel(self, "It was cancelled.")

    def resume(self) -> None:
        """Let failed, cancelled and unstarted jobs be started; the next `wait` starts them."""
        self.store.delete(document.CANCEL)
        for trial in self.status().trials:
            if trial.has_failed and self.pruned_at(trial.number) is None:
                self.forget(trial.number)

    def raise_for_failure(self) -> None:
        """Raise JobFailedError for a pipeline of which a step has failed, and for a sweep without a best job."""
        if not self.document["metric"]:
            self._raise_for_step()
        else:
            self.best()

    def _raise_for_step(self) -> None:
        for trial in self.status().trials:
            if trial.has_failed:
                raise JobFailedError(
                    f"Step {trial.step} of {self.uri} ended as {trial.state} ({trial.reason}): "
                    f"`ftsdk logs {trial.uri}` says why, and the same command again goes on from there."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """One look at a study."""

    document: StudyDocument
    trials: tuple[Trial, ...]
    stopped: str = ""
    """Why no further job is started; empty if one may be."""

    @property
    def state(self) -> JobState:
        """PENDING before the first job, RUNNING until the last one, then whether any has succeeded."""
        states = [trial.state for trial in self.trials if trial.claimed]
        if not all(state.terminal for state in states) or self.waiting or self.to_choose:
            return JobState.RUNNING if states else JobState.PENDING
        if self.stopped:
            return JobState.CANCELLED
        if not self.document["metric"]:
            return JobState.FAILED if any(trial.has_failed for trial in self.trials) else JobState.SUCCEEDED
        return JobState.SUCCEEDED if JobState.SUCCEEDED in states else JobState.FAILED

    @property
    def to_choose(self) -> int:
        """Jobs that a search has still to choose; none after a cancel or once its limits exclude one."""
        search = self.document.get("search")
        if search is None or self.stopped or any(trial for trial in self.trials if not trial.claimed):
            return 0
        return search["trials"] - len(self.trials)

    @property
    def waiting(self) -> list[Trial]:
        """Jobs that are still to be submitted; none after a cancel or once the limits exclude the next one."""
        rest = [trial for trial in self.trials if not trial.claimed and not trial.skipped]
        if self.stopped or not rest:
            return []
        return [] if over_limits(self.document, self.trials, rest[0].planned) else rest

    @property
    def ranked(self) -> list[Trial]:
        """The jobs that have succeeded and reported the metric, the best first."""
        return ranked(self.trials, self.document)

    @property
    def groups(self) -> list[SeedGroup]:
        """The jobs of each combination, which differ in their seeds only; the one with the best mean first."""
        several = self.document.get("seeds", 1) > 1
        grouped: dict[str, list[Trial]] = {}
        for trial in self.ranked:
            grouped.setdefault(str(_without_seed(trial.changes) if several else trial.changes), []).append(trial)
        groups = [_group(trials, several=several) for trials in grouped.values()]
        return sorted(groups, key=lambda group: group.mean, reverse=self.document["goal"] == "max")

    @property
    def best(self) -> Trial | None:
        """The best job of the best combination; None if no job has succeeded and reported the metric."""
        return self.groups[0].trials[0] if self.groups else None

    @property
    def hours(self) -> float:
        """Hours of running of all jobs so far."""
        return sum(trial.hours for trial in self.trials)

    @property
    def cost_usd(self) -> float | None:
        """US dollars of all jobs so far; None if a price is unknown."""
        costs = [trial.cost_usd for trial in self.trials]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def effects(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """(key of the spec, value -> mean of the metric over its jobs), the key with the largest spread first."""
        keys = self.trials[0].changes if self.trials else ()
        means = {key: _means(key, self.ranked) for key in keys}
        yield from sorted(means.items(), key=lambda item: -_spread(item[1]))

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        known = ("name", "metric", "goal", "parallel", "max_cost_usd", "max_hours", "created_at")
        described: Mapping[str, object] = self.document
        return {
            "uri": f"{document.SCHEME}{self.document['name']}",
            **{key: described[key] for key in known},
            "state": self.state,
            "stopped": self.stopped,
            "hours": self.hours,
            "cost_usd": self.cost_usd,
            "best": self.best.to_json() if self.best else None,
            "groups": [
                {"changes": dict(group.changes), "mean": group.mean, "spread": group.spread, "seeds": len(group.trials)}
                for group in self.groups
            ],
            "jobs": [trial.to_json() for trial in self.trials],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGroup:
    """The jobs of one combination of values."""

    changes: Mapping[str, object]
    """Without the seed."""
    trials: tuple[Trial, ...]
    """Those that have reported the metric, the best first."""
    mean: float
    spread: float | None
    """Standard deviation of the metric over the seeds; None for one seed."""


def list_studies() -> Iterator[Study]:
    """This machine's studies, newest first."""
    return map(Study, document.names())


def _without_seed(changes: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in changes.items() if key != SEED}


def _group(trials: Sequence[Trial], *, several: bool) -> SeedGroup:
    values = [trial.value or 0.0 for trial in trials]
    return SeedGroup(
        changes=_without_seed(trials[0].changes) if several else trials[0].changes,
        trials=tuple(trials),
        mean=mean(values),
        spread=stdev(values) if len(values) > 1 else None,
    )


def _means(key: str, measured: Sequence[Trial]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for trial in measured:
        groups.setdefault(str(trial.changes.get(key)), []).append(trial.value or 0.0)
    return {value: sum(group) / len(group) for value, group in groups.items()}


def _spread(means: Mapping[str, float]) -> float:
    return max(means.values()) - min(means.values()) if means else 0.0
