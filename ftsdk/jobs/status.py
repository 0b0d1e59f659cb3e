"""How a job is doing: progress, time and cost to its end, attempts, what is left of its budget."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import cast

from ftsdk import contract
from ftsdk.backends.base import JobInfo, JobState
from ftsdk.contract.lineage import VERDICT_FILE, VerdictRecord
from ftsdk.contract.lines import TrainerMetrics
from ftsdk.jobs import history
from ftsdk.jobs.history import AttemptRecord
from ftsdk.jobs.reference import JobReference
from ftsdk.sizing import Remaining, remaining
from ftsdk.spec import Budget
from ftsdk.storage import records


@dataclass(frozen=True, kw_only=True)
class Status:
    """One look at a job. What takes more than a poll is computed on first use and kept."""

    job: JobReference
    info: JobInfo
    now: float
    """Seconds since the epoch."""

    @classmethod
    def of(cls, job: JobReference) -> Status:
        """Look at a job now."""
        return cls(job=job, info=job.info(), now=time.time())

    @cached_property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """All attempts, oldest first."""
        return history.history(self.job.store, self.info, num_nodes=self.job.document["num_nodes"], now=self.now)

    @cached_property
    def metrics(self) -> list[TrainerMetrics]:
        """The newest metrics of the newest attempt that has any, oldest first."""
        for number in range(self.info.attempt, 0, -1):
            if newest := records.last_metrics(self.job.store, number):
                return newest
        return []

    @cached_property
    def verdict(self) -> VerdictRecord | None:
        """What the training did to its model; None before its end, and for jobs without one."""
        if self.info.state is not JobState.SUCCEEDED:
            return None
        return cast("VerdictRecord | None", records.read_json(self.job.store, f"{contract.MODEL_DIR}/{VERDICT_FILE}"))

    @property
    def latest(self) -> TrainerMetrics:
        """The newest value of every metric."""
        merged: TrainerMetrics = {}
        for record in self.metrics:
            merged.update(record)
        return merged

    @property
    def hours(self) -> float:
        """Hours of running so far, over all attempts."""
        return history.hours(self.attempts)

    @property
    def cost_usd(self) -> float | None:
        """What it has cost so far; None if a price is unknown."""
        return history.cost_usd(self.attempts)

    @property
    def usd_per_hour(self) -> float | None:
        """What the newest attempt costs in an hour."""
        return self.attempts[-1].usd_per_hour

    @cached_property
    def work_left(self) -> Remaining | None:
        """Time and cost to the end at the speed that was measured last; None before it can be measured."""
        total_steps = self.latest.get("total_steps")
        return remaining(_points(self.metrics), total_steps, usd_per_hour=self.usd_per_hour) if total_steps else None

    @property
    def remaining(self) -> Remaining | None:
        """The same while the job runs, None after its end."""
        return None if self.info.state.terminal else self.work_left

    @property
    def budget(self) -> Budget:
        """The job's limits, as it was submitted last."""
        return Budget.model_validate((self.job.plan.spec if self.job.plan else {}).get("budget", {}))

    def budget_left(self) -> dict[str, float]:
        """What is left of each limit; only those that are set."""
        limits, left = self.budget, dict[str, float]()
        if limits.max_hours is not None:
            left["hours"] = limits.max_hours - self.hours
        if limits.max_cost_usd is not None and self.cost_usd is not None:
            left["cost_usd"] = limits.max_cost_usd - self.cost_usd
        if limits.finish_by is not None:
            left["hours_to_finish_by"] = (limits.finish_by.timestamp() - self.now) / 3600
        return left

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return {
            "uri": self.job.uri,
            **asdict(self.info),
            "latest": self.latest,
            "remaining": self.remaining._asdict() if self.remaining else None,
            "hours": self.hours,
            "cost_usd": self.cost_usd,
            "usd_per_hour": self.usd_per_hour,
            "budget_left": self.budget_left(),
            "verdict": self.verdict,
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }


def _points(metrics: list[TrainerMetrics]) -> list[tuple[int, float]]:
    """(step, seconds) of training steps; evaluation and the last summary repeat a step and are left out."""
    points = [(int(m["step"]), float(m["time"])) for m in metrics if "step" in m and isinstance(m.get("time"), float)]
    return points[:1] + [after for before, after in pairwise(points) if after[0] > before[0]]
