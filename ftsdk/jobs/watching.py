"""A watcher of a job carries out its retry policy. Any number of watchers may watch the same job.

A watcher keeps no state between two looks: the history is read from the job's folder, and an attempt belongs to the
process that puts its claim there first. So a watcher can be stopped and started at any time.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ftsdk import contract
from ftsdk.backends.base import JobInfo, SupportsOnDemand
from ftsdk.contract.spec_document import SpecDocument
from ftsdk.errors import CapacityError, UnavailableError, WaitTimeoutError
from ftsdk.jobs import journal, notifying, retrying
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.retrying import Decision
from ftsdk.jobs.starting import read_secrets, start
from ftsdk.jobs.status import Status
from ftsdk.plan import Plan, RetryNote, budgets
from ftsdk.spec import Retry
from ftsdk.storage.records import LogLine, read_json

POLL_FIRST_S, POLL_MAX_S = 0.01, 5.0
POLL_SHARE = 0.05
"""A poll may come this share of the elapsed time late, so that short jobs end at once and long ones cost little."""
LOOK_AGAIN_S = 1.0
"""Between an end and the next look, while another watcher or the platform is at work."""
REFUSED_PAUSE_S = 60.0
"""After a start that had no capacity or no answer."""

CANCELLED = Decision(action="done", why="It was cancelled.")

OnDecision = Callable[[Decision, JobInfo], None]


def ignore_decision(decision: Decision, info: JobInfo) -> None:
    """The `OnDecision` that does nothing."""


def reconcile(job: JobReference, *, fresh_s: float | None = None) -> tuple[Decision, JobInfo]:
    """One look at a job, and the next attempt if it is time for it. Returns what was decided and what was seen.

    `start` means that this call started an attempt; a `wait` with `not_before` is to be looked at again then. What has
    failed longer than `fresh_s` seconds ago is left alone.
    Raises AuthError where a secret is not in this process's environment, BackendError where the platform refuses.
    """
    status = Status.of(job)
    if not status.info.state.terminal and not may_leave_spot(job):
        return Decision(action="wait"), status.info
    decision = CANCELLED if _is_cancelled(status) else _decide(status)
    if decision.action == "start" and fresh_s is not None and _ended_s_ago(status) > fresh_s:
        decision = Decision(action="give_up", why=f"It failed more than {fresh_s / 3600:g} h ago: name it to go on.")
    if decision.action == "start":
        decision = _start(status, decision)
    elif decision.action == "leave_spot":
        decision = _leave_spot(status, decision)
    if decision.action in ("done", "give_up"):
        journal.end(job.uri, status.info.attempt)
        notifying.tell_end(job)
    return decision, status.info


def wait(job: JobReference, timeout_s: float | None = None, *, on_decision: OnDecision = ignore_decision) -> JobInfo:
    """Wait until no further attempt follows, starting those that the retry policy allows; returns the last state.

    `on_decision` is called with what follows each attempt that has ended. Raises WaitTimeoutError after `timeout_s`
    seconds; the job goes on.
    """
    with notifying.while_waiting(job):
        return _wait(job, timeout_s, on_decision)


def _wait(job: JobReference, timeout_s: float | None, on_decision: OnDecision) -> JobInfo:
    deadline = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
    while True:
        info = _poll_until(job, deadline)
        decision = Decision(action="wait")
        if info.state.terminal:
            decision, info = reconcile(job)
        if decision.why:
            on_decision(decision, info)
        if decision.action in ("done", "give_up"):
            return info
        if time.monotonic() > deadline:
            raise _timed_out(job, info, timeout_s)
        if decision.action == "wait":
            _sleep(decision)


def wait_for_attempt(job: JobReference, timeout_s: float | None = None) -> JobInfo:
    """Wait until the newest attempt has ended and return its state; starts nothing.

    Raises WaitTimeoutError after `timeout_s` seconds.
    """
    info = _poll_until(job, time.monotonic() + (math.inf if timeout_s is None else timeout_s))
    if not info.state.terminal:
        raise _timed_out(job, info, timeout_s)
    return info


def _poll_until(job: JobReference, deadline: float) -> JobInfo:
    """The job's state when its newest attempt has ended, or at the deadline (on time.monotonic's clock)."""
    started = time.monotonic()
    while not (info := job.info()).state.terminal and (now := time.monotonic()) <= deadline:
        time.sleep(min(POLL_MAX_S, max(POLL_FIRST_S, POLL_SHARE * (now - started))))
    return info


def _timed_out(job: JobReference, info: JobInfo, timeout_s: float | None) -> WaitTimeoutError:
    return WaitTimeoutError(
        f"Job {job.uri} is still {info.state} after {timeout_s:g} s; it goes on without this process: "
        f"`ftsdk wait {job.uri}` waits again, `ftsdk cancel {job.uri}` ends it."
    )


def follow(
    job: JobReference, *, after: str | None = None, on_decision: OnDecision = ignore_decision
) -> Iterator[LogLine]:
    """The job's lines over all attempts until nothing follows any more; starts what the policy says."""
    with notifying.while_waiting(job):
        yield from _follow(job, after, on_decision)


def _follow(job: JobReference, after: str | None, on_decision: OnDecision) -> Iterator[LogLine]:
    while True:
        for line in job.logs(follow=True, after=after):
            after = line.cursor
            yield line
        decision, info = reconcile(job)
        if decision.why:
            on_decision(decision, info)
        if decision.action in ("done", "give_up"):
            return
        if decision.action == "wait":
            _sleep(decision)


def _sleep(decision: Decision) -> None:
    """Until the next attempt is due, or for one interval to see what another watcher does."""
    time.sleep(min(LOOK_AGAIN_S, max(0.0, decision.not_before - time.time()) or LOOK_AGAIN_S))


# --- the decision and what it needs ---------------------------------------------------------------------------
def _ended_s_ago(status: Status) -> float:
    last = status.attempts[-1]
    return status.now - (last.ended_at or last.claimed_at or status.now)


def may_leave_spot(job: JobReference) -> bool:
    """Whether a job that has not ended could be too late on spot: only then its history is read at every look."""
    if not isinstance(job.backend, SupportsOnDemand) or (plan := job.plan) is None:
        return False
    return bool(plan.spec["resources"]["spot"] and plan.spec["budget"]["finish_by"])


def _leave_spot(status: Status, decision: Decision) -> Decision:
    """Stop an attempt that waits for capacity. The watcher that sees both starts the next one on demand."""
    note = json.dumps({"time": status.now, "why": decision.why}).encode()
    if not status.job.store.put_if_absent(contract.leave_spot_key(status.info.attempt), note):
        return Decision(action="wait")
    status.job.backend.cancel(status.job.name)
    return replace(decision, action="wait")


def _is_cancelled(status: Status) -> bool:
    """A user's cancel counts, also where the attempt had ended otherwise before."""
    store, attempt = status.job.store, status.info.attempt
    if status.info.state != "FAILED" or read_json(store, contract.cancel_key(attempt)) is None:
        return False
    return read_json(store, contract.leave_spot_key(attempt)) is None


def _decide(status: Status) -> Decision:
    plan = status.job.plan
    if plan is None:
        why = "This machine did not submit the job: watch it where it was submitted, or submit the same here."
        return Decision(action="done" if status.info.state == "SUCCEEDED" else "give_up", why=why)
    finish_by = status.budget.finish_by
    left = read_json(status.job.store, contract.leave_spot_key(status.info.attempt)) or {}
    return retrying.decide(
        status.attempts,
        Retry.model_validate(plan.spec["retry"]),
        config=plan.document["config"],
        can_leave_spot=isinstance(status.job.backend, SupportsOnDemand),
        hours_left=(finish_by.timestamp() - status.now) / 3600 if finish_by else None,
        work_left_hours=status.work_left.hours if status.work_left else plan.estimate.hours,
        left_spot=left.get("why", ""),
    )


def _start(status: Status, decision: Decision) -> Decision:
    """Start the next attempt, unless it is too early, the budget is used, or another watcher was first."""
    job, number = status.job, status.info.attempt + 1
    if decision.not_before > status.now:
        at = time.strftime("%H:%M:%S", time.localtime(decision.not_before))
        return replace(decision, action="wait", why=f"{decision.why} It starts at {at}.")
    plan = _next_plan(status, decision)
    if plan.document["budget_s"] == 0:
        return Decision(action="give_up", why=f"The budget is used ({status.hours:.3g} h of running).")
    try:
        start(job, plan, read_secrets(plan))
    except (CapacityError, UnavailableError) as problem:
        return Decision(action="wait", why=f"Attempt {number}: {problem}", not_before=status.now + REFUSED_PAUSE_S)
    claim = read_json(job.store, contract.claim_key(number))
    if claim is None:  # the attempt before it has not let go of its place yet
        return Decision(action="wait")
    if claim["by"] != plan.note["by"]:
        return Decision(action="wait", why=f"Attempt {number} was started by {claim['by']}.")
    return decision


def _next_plan(status: Status, decision: Decision) -> Plan:
    job, info = status.job, status.info
    plan = job.plan
    assert plan is not None  # without one nothing is started
    if decision.on_demand and isinstance(job.backend, SupportsOnDemand):
        spec: SpecDocument = {**plan.spec, "resources": {**plan.spec["resources"], "spot": False}}
        plan = replace(job.backend.on_demand(plan), spec=spec)
    if decision.shrink:
        plan = retrying.shrunk(plan)
    left_s = budgets.left_s(status.budget, plan.usd_per_hour, hours=status.hours, cost_usd=status.cost_usd or 0.0)
    note: RetryNote = {
        "by": f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        "why": decision.why,
        "changed": plan.note.get("changed", {}),
        "before": {
            "state": str(info.state),
            "reason": info.reason,
            "message": info.message,
            "ended_at": info.ended_at or status.now,
        },
    }
    return replace(
        plan.for_attempt(info.attempt + 1),
        document={**plan.document, "budget_s": left_s},
        retry=status.attempts[-1].retry + 1,
        note=note,
    )
