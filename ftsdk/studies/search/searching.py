"""A search on its way: what its jobs have come to is entered, and the next one is chosen and planned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from ftsdk import backends
from ftsdk.errors import JobNotFoundError
from ftsdk.estimator import Estimator
from ftsdk.jobs.job import Job
from ftsdk.plan import Plan
from ftsdk.spec.loading import parse
from ftsdk.studies.changes import spec_with
from ftsdk.studies.document import SearchDocument, StudyRecord, TrialDocument
from ftsdk.studies.jobs import job_of
from ftsdk.studies.search.operations import OperationLog, SearchOperation
from ftsdk.studies.search.optimizer import Optimizer
from ftsdk.studies.space import Changes


@dataclass(slots=True)
class Searching:
    """One watcher's part in a search."""

    record: StudyRecord
    log: OperationLog = field(init=False)
    _optimizer: Optimizer | None = None
    _told: set[int] = field(default_factory=set)
    _steps: dict[int, int] = field(default_factory=dict)
    """Number of a job -> its last step that was entered."""

    def __post_init__(self) -> None:
        self.log = OperationLog(self.record.store)

    @property
    def settings(self) -> SearchDocument:
        """The search of the study's document."""
        search = self.record.document.get("search")
        assert search is not None  # a study without one is no search
        return search

    def jobs(self) -> list[TrialDocument]:
        """The jobs so far; reads what other watchers have done."""
        self._apply(self.log.read())
        return [cast(TrialDocument, trial) for trial in self.log.jobs()]

    def enter(self, ended: Mapping[int, bool], running: list[int]) -> list[int]:
        """Enter what the jobs have reported, and how they have ended: number -> whether it has succeeded.

        Returns the running jobs that are to be pruned.
        """
        reporting = [*running, *(number for number in ended if number not in self._told)]
        pruner = self.settings["settings"]["pruner"]
        new = [*(report for number in reporting if pruner for report in self._reports(number))]
        new += [self._end(number, succeeded) for number, succeeded in ended.items() if number not in self._told]
        if new and not self._append(new):
            return []  # somebody else was first: the next look enters the rest
        return [number for number in running if self._optimizer and number in self._optimizer.pruned]

    def choose(self) -> bool:
        """Choose and plan the next job, unless there are as many as wanted; False if there is none."""
        number = len(self.log.jobs()) + 1
        if number > self.settings["trials"]:
            return False
        changes = self._state().ask()
        plan = self.plan(changes)
        hours, price = plan.estimate.hours, plan.usd_per_hour
        cost = None if hours is None or price is None else hours * price
        trial: TrialDocument = {
            "number": number, "changes": changes, "uri": plan.uri, "hours": hours, "cost_usd": cost,
        }  # fmt: skip
        if self.log.append([{"kind": "ask", "number": number, "trial": dict(trial)}]):
            self.record.add_plan(number, plan)
        else:
            self._optimizer = None  # it has asked for a job that another watcher has chosen otherwise
        return True

    def plan(self, changes: Changes) -> Plan:
        """The plan of the job with these values. Raises what a plan and the checks before a submit raise."""
        settings = self.settings
        spec = spec_with(parse(settings["spec"], where="sweep"), changes)
        place = backends.get(settings["backend"], settings["options"])
        estimator = Estimator(spec, backend=place, folder=settings["folder"])
        facts = estimator.inspect()
        plan = estimator.plan(facts)
        estimator.check(facts, plan, **settings["checks"])
        return plan

    def _append(self, operations: list[SearchOperation]) -> bool:
        if not self.log.append(operations):
            return False
        self._apply(operations)
        return True

    def _apply(self, operations: list[SearchOperation]) -> None:
        for operation in operations:
            if operation["kind"] == "tell":
                self._told.add(operation["number"])
            elif operation["kind"] == "report":
                self._steps[operation["number"]] = operation["step"]
            if self._optimizer is not None:
                self._optimizer.apply(operation)
        if operations and self._optimizer is None and self.settings["settings"]["pruner"]:
            self._state()

    def _state(self) -> Optimizer:
        """Optuna after all operations so far."""
        if self._optimizer is None:
            self._optimizer = Optimizer(self.settings["settings"])
            for operation in self.log.operations:
                self._optimizer.apply(operation)
        return self._optimizer

    def _reports(self, number: int) -> Iterator[SearchOperation]:
        """What a job has reported since the last step that was entered."""
        for step, value in reported(self._job(number), self.record.document["metric"]):
            if step > self._steps.get(number, -1):
                yield {"kind": "report", "number": number, "step": step, "value": value}

    def _end(self, number: int, succeeded: bool) -> SearchOperation:
        if self.record.pruned_at(number) is not None:
            return {"kind": "tell", "number": number, "end": "pruned"}
        values = reported(self._job(number), self.record.document["metric"]) if succeeded else []
        if not values:
            return {"kind": "tell", "number": number, "end": "fail"}
        return {"kind": "tell", "number": number, "end": "complete", "value": values[-1][1]}

    def _job(self, number: int) -> Job:
        return job_of(self.record, number)


def reported(job: Job, metric: str) -> list[tuple[int, float]]:
    """(step, value) of each report of a metric, in order; none while the job is being started."""
    try:
        records = job.metrics()
    except JobNotFoundError:
        return []
    values = ((record["step"], cast(Mapping[str, object], record).get(metric)) for record in records)
    return [(step, float(value)) for step, value in values if isinstance(value, int | float) and math.isfinite(value)]
