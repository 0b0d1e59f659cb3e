"""What follows an attempt: nothing, another one, or the end. One pure decision for all backends and all watchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.contract.documents import JobDocument
from ftsdk.jobs.history import AttemptRecord
from ftsdk.plan import Plan
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.sizing.spot import decide as spot_or_not
from ftsdk.spec import Retry

Action = Literal["wait", "start", "leave_spot", "done", "give_up"]
BACKOFF = RetryPolicy(first_pause_s=10.0, max_pause_s=900.0)
"""After an attempt that came no further than the one before; doubled with each of that kind."""
MICRO_BATCH, ACCUMULATION = "per_device_train_batch_size", "gradient_accumulation_steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about a job, and why."""

    action: Action
    """`wait`: it runs (or it is too early); `start` one more attempt; `leave_spot`: stop one that waits for spot
    capacity, so that the next is on demand; `done`; `give_up`: no further attempt."""
    why: str = ""
    """One sentence for the user."""
    not_before: float = 0.0
    """Seconds since the epoch: a `start` waits until then."""
    on_demand: bool = False
    """Start on capacity that is not taken back, although the job requested spot."""
    shrink: bool = False
    """Start with a smaller micro-batch and more accumulation."""


def decide(
    attempts: Sequence[AttemptRecord],
    policy: Retry,
    *,
    config: Mapping[str, object],
    can_leave_spot: bool = False,
    hours_left: float | None = None,
    work_left_hours: float | None = None,
    left_spot: str = "",
) -> Decision:
    """What follows the last of these attempts.

    `config` is the trainer's configuration of the last attempt. `hours_left` is the time until `budget.finish_by`,
    `work_left_hours` what the training still takes without interruptions; None where unknown. `left_spot` says why a
    watcher stopped the last attempt, if one did.
    """
    last = attempts[-1]
    if not last.state.terminal:
        late = last.waiting and last.spot and can_leave_spot and _why_late(hours_left, work_left_hours)
        return Decision(action="leave_spot", why=f"On demand from here: {late}.") if late else Decision(action="wait")
    if left_spot and last.state is not JobState.SUCCEEDED:
        return Decision(action="start", why=left_spot, on_demand=True)
    if last.state is not JobState.FAILED:
        return Decision(action="done", why=f"Attempt {last.number} {last.state.lower()}.")
    since = _since_submit(attempts)
    rows = config.get(MICRO_BATCH)
    shrink = last.reason == "oom" and policy.shrink_micro_batch and isinstance(rows, int) and rows > 1
    if obstacle := _obstacle(since, policy, shrink=shrink):
        return Decision(action="give_up", why=obstacle)
    leave = can_leave_spot and last.spot and _why_on_demand(since, policy, hours_left, work_left_hours)
    what = f"Attempt {last.number} ended with '{last.reason}'"
    how = "with half the micro-batch" if shrink else f"on demand, since {leave}" if leave else ""
    return Decision(
        action="start",
        why=f"{what}: retry {used(since) + 1} of {policy.retries}{', ' if how else ''}{how}.",
        not_before=(last.ended_at or 0.0) + _pause_s(since),
        on_demand=bool(leave),
        shrink=shrink,
    )


def used(since: Sequence[AttemptRecord]) -> int:
    """Retries so far: attempts after the first, and restarts inside attempts."""
    return len(since) - 1 + sum(attempt.starts - 1 for attempt in since)


def _since_submit(attempts: Sequence[AttemptRecord]) -> Sequence[AttemptRecord]:
    """The attempt that was submitted last, and the retries after it."""
    first = max((index for index, attempt in enumerate(attempts) if attempt.retry == 0), default=0)
    return attempts[first:]


def _obstacle(since: Sequence[AttemptRecord], policy: Retry, *, shrink: bool) -> str:
    """Why no attempt follows, in a sentence; empty if nothing stands against it."""
    last = since[-1]
    what = f"Attempt {last.number} ended with '{last.reason}'"
    if used(since) >= policy.retries:
        return f"{what}, and all {policy.retries} retries are used."
    if shrink:
        return ""
    if last.reason == "oom" and policy.shrink_micro_batch:
        return f"{what}, and the micro-batch cannot be smaller."
    if last.reason in contract.REPEATING_REASONS:
        return f"{what}, which would come again."
    sold_out = last.spot and last.reason == "capacity"  # it is a spot job's lot, as a preemption is; nothing has run
    unbegun = not last.began and last.reason in ("killed", "lost")
    if last.reason not in contract.RETRIED[policy.on] and not sold_out and not unbegun:
        return f"{what}, which `retry.on: {policy.on}` does not start again."
    if last.reason not in contract.INFRA_REASONS and _came_before(since):
        where = f"at step {last.step}" if last.step is not None else "before its first step"
        return f"{what} {where} for the second time."
    return ""


def _came_before(since: Sequence[AttemptRecord]) -> bool:
    return len(since) > 1 and (since[-2].reason, since[-2].step) == (since[-1].reason, since[-1].step)


def _pause_s(since: Sequence[AttemptRecord]) -> float:
    """No pause after progress; else longer and longer, so that a place that is down is not hammered."""
    idle = 0
    for index in range(len(since) - 1, -1, -1):
        previous_step = since[index - 1].step or 0 if index else 0
        if (since[index].step or 0) > previous_step or since[index].reason == "oom":
            break
        idle += 1
    return BACKOFF.backoff_s(idle) if idle else 0.0


def _why_on_demand(
    since: Sequence[AttemptRecord], policy: Retry, hours_left: float | None, work_left_hours: float | None
) -> str:
    """Why spot is no longer good enough, or an empty string."""
    ends = [attempt.starts - 1 + (attempt.reason in contract.PREEMPTIONS) for attempt in since if attempt.spot]
    preempted = sum(ends)  # a platform that starts a preempted attempt again counts too
    if policy.on_demand_after is not None and preempted >= policy.on_demand_after:
        return f"it was preempted {preempted} times"
    return _why_late(hours_left, work_left_hours)


def _why_late(hours_left: float | None, work_left_hours: float | None) -> str:
    """That waiting for spot any longer would miss `finish_by`, or an empty string."""
    if hours_left is None or work_left_hours is None:
        return ""
    late = spot_or_not(hours_left=hours_left, work_left_hours=work_left_hours) == "on-demand"
    return f"{work_left_hours:.1f} h of work are left and {max(0.0, hours_left):.1f} h until finish_by" if late else ""


# --- what a decision changes in a plan -----------------------------------------------------------------------
def shrunk(plan: Plan) -> Plan:
    """The plan with a smaller micro-batch and more accumulation; their product, the global batch, is the same.

    Name and digest stay: they are the spec's, and it is still the same job, whose checkpoints go on.
    """
    config = plan.document["config"]
    micro, accumulation = config[MICRO_BATCH], config.get(ACCUMULATION, 1)
    divisor = next(number for number in range(2, micro + 1) if micro % number == 0)
    changed = {MICRO_BATCH: micro // divisor, ACCUMULATION: accumulation * divisor}
    note = (
        f"The accelerator's memory was too small: micro-batch {micro // divisor} instead of {micro}, accumulation "
        f"{accumulation * divisor} instead of {accumulation}; the global batch is the same."
    )
    document: JobDocument = {**plan.document, "config": {**config, **changed}, "notes": [*plan.document["notes"], note]}
    return replace(
        plan,
        document=document,
        trainer_config={**plan.trainer_config, **changed},
        note={**plan.note, "changed": {**plan.note.get("changed", {}), **changed}},
    )
