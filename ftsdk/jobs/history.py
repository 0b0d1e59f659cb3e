"""A job's attempts: when they ran, why they ended, how long they took, what they cost.

Read from the job's durable folder and not from the journal, so every machine that reads the folder gets the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ftsdk import contract
from ftsdk.backends.base import JobInfo, JobState
from ftsdk.contract.documents import Claim, Clock, Outcome, PreviousAttempt
from ftsdk.runtime.storage.base import Store
from ftsdk.storage import records

SILENT_S = 300.0
"""A supervisor shows life every minute; one without a sign for so long is not running but waiting for a machine."""
STATES = {"INTERRUPTED": JobState.FAILED.value}
"""An outcome's state -> ours, where they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt of a job."""

    number: int
    state: JobState
    reason: str = ""
    message: str = ""
    step: int | None = None
    """The last step that its trainer reported."""
    claimed_at: float | None = None
    ended_at: float | None = None
    """Seconds since the epoch."""
    seconds: float = 0.0
    """How long it has run, over all its starts; waiting for a machine does not count."""
    starts: int = 1
    """How often it was started; more than once where a crash was recovered inside the attempt."""
    began: bool = True
    """A supervisor has lived; not so where whoever claimed the attempt was gone before it was started."""
    retry: int = 0
    """1-based retry index; 0 for an attempt that was submitted."""
    why: str = ""
    waiting: bool = False
    """It has no machine: it never had one, or the platform took it back and looks for another."""
    spot: bool = False
    usd_per_hour: float | None = None
    changed: tuple[tuple[str, object], ...] = ()
    """Arguments of the trainer that a retry changed."""

    @property
    def cost_usd(self) -> float | None:
        """What it has cost; None if the price is unknown."""
        return None if self.usd_per_hour is None else self.usd_per_hour * self.seconds / 3600

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        return {**shown, "state": str(self.state), "changed": dict(self.changed), "cost_usd": self.cost_usd}


def history(store: Store, info: JobInfo, *, num_nodes: int, now: float) -> tuple[AttemptRecord, ...]:
    """All attempts, oldest first; the state of the newest one is `info`'s."""
    claims = {number: _claim(store, number) for number in range(1, info.attempt + 1)}
    attempts = []
    end: PreviousAttempt
    for number in range(1, info.attempt + 1):
        outcome = records.outcome(store, number, num_nodes)
        if number == info.attempt:
            end = {"state": info.state, "reason": info.reason, "message": info.message, "ended_at": info.ended_at}
        else:
            end = claims[number + 1].get("before") or _end_of(outcome)
        attempt = _attempt(number, claims[number], end, outcome, _clock(store, number), now)
        if attempt.state.terminal and not outcome:
            attempt = replace(attempt, step=_step(store, number))
        attempts.append(attempt)
    return tuple(attempts)


def hours(attempts: tuple[AttemptRecord, ...]) -> float:
    """Hours of running over all attempts."""
    return sum(attempt.seconds for attempt in attempts) / 3600


def cost_usd(attempts: tuple[AttemptRecord, ...]) -> float | None:
    """What all attempts have cost; None if the price of one is unknown."""
    costs = [attempt.cost_usd for attempt in attempts]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _attempt(
    number: int, claim: Claim, end: PreviousAttempt, outcome: Outcome | None, clock: Clock | None, now: float
) -> AttemptRecord:
    state = JobState(end["state"])
    last_sign = outcome["ended_at"] if outcome else clock["alive_at"] if clock else None
    silent = clock is not None and now - clock["alive_at"] > SILENT_S
    waiting = state is JobState.PENDING or (state is JobState.RUNNING and silent)
    return AttemptRecord(
        number=number,
        state=state,
        reason=end["reason"],
        message=end["message"],
        step=outcome["step"] if outcome else None,
        claimed_at=claim.get("time"),
        ended_at=end["ended_at"] or last_sign if state.terminal else None,
        seconds=_seconds(clock, outcome, None if state.terminal or waiting else now),
        waiting=waiting,
        starts=clock["starts"] if clock else 1,
        began=clock is not None or outcome is not None,
        retry=claim.get("retry", 0),
        why=claim.get("why", ""),
        spot=claim.get("spot", False),
        usd_per_hour=claim.get("usd_per_hour"),
        changed=tuple(claim.get("changed", {}).items()),
    )


def _seconds(clock: Clock | None, outcome: Outcome | None, now: float | None) -> float:
    """To the end that the supervisor wrote, else to its last sign of life; to now while it runs."""
    if clock is None:
        return outcome["ended_at"] - outcome["started_at"] if outcome else 0.0
    until = now or (outcome["ended_at"] if outcome else clock["alive_at"])
    return clock["ran_s"] + max(0.0, until - clock["started_at"])


def _end_of(outcome: Outcome | None) -> PreviousAttempt:
    if outcome is None:
        return {"state": "FAILED", "reason": "lost", "message": "It ended without saying how.", "ended_at": None}
    return {
        "state": STATES.get(outcome["state"], outcome["state"]),
        "reason": outcome["reason"],
        "message": outcome["message"],
        "ended_at": outcome["ended_at"],
    }


def _clock(store: Store, attempt: int) -> Clock | None:
    """The first node's clock: all nodes run together or not at all."""
    clock: Clock | None = records.read_json(store, contract.clock_key(attempt, 0))
    return clock


def _step(store: Store, attempt: int) -> int | None:
    """The last step in the log of an attempt whose machine was gone before it could say how it ended."""
    steps = [record["step"] for record in records.last_metrics(store, attempt)]
    return int(steps[-1]) if steps else None


def _claim(store: Store, attempt: int) -> Claim:
    claim: Claim | None = records.read_json(store, contract.claim_key(attempt))
    return claim or {}
