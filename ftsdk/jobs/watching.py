"""Whoever watches a job carries out what its retry policy says. Any number of watchers may watch the same job.

Nothing is remembered between two looks: the history is read from the job's own folder, and an attempt belongs to
whoever puts its claim there first. So a watcher may die and start again at any moment.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ftsdk import contract
from ftsdk.backends.base import JobInfo, SupportsOnDemand
from ftsdk.errors import CapacityError, UnavailableError
from ftsdk.jobs import journal, retrying
from ftsdk.jobs.job import Job, read_secrets, start
from ftsdk.jobs.retrying import Decision
from ftsdk.jobs.status import Status
from ftsdk.plan import Plan, budgets
from ftsdk.spec import Retry
from ftsdk.storage.records import LogLine, read_json

LOOK_AGAIN_S = 1.0
"""Between an end and the next look, while another watcher or the platform is at work."""
REFUSED_PAUSE_S = 60.0
"""After a start that had no capacity or no answer."""

CANCELLED = Decision(action="done", why="It was cancelled.")

Hear = Callable[[Decision, JobInfo], None]


def carry_on(job: Job, *, fresh_s: float | None = None) -> tuple[Decision, JobInfo]:
    """One look at a job, and the next attempt if it is time for it. Returns what was decided and what was seen.

    `start` means that this call started an attempt; a `wait` with `not_before` is to be looked at again then. What has
    failed longer than `fresh_s` seconds ago is left alone.
    Raises AuthError where a secret is not in this process's environment, BackendError where the platform refuses.
    """
    status = Status.of(job)
    if not status.info.state.terminal and not _may_leave_spot(status):
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
    return decision, status.info


def wait(job: Job, timeout_s: float | None = None, *, hear: Hear = lambda decision, info: None) -> JobInfo:
    """Wait until nothing follows; starts what the policy says. Raises TimeoutError after `timeout_s` seconds."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            job.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise TimeoutError(f"Job {job.uri} still runs after {timeout_s:g} s.") from None
        decision, info = carry_on(job)
        if decision.why:
            hear(decision, info)
        if decision.action in ("done", "give_up"):
            return info
        if decision.action == "wait":
            _sleep(decision, deadline, job)


def follow(job: Job, *, after: str | None = None, hear: Hear = lambda decision, info: None) -> Iterator[LogLine]:
    """The job's lines over all attempts until nothing follows any more; starts what the policy says."""
    while True:
        for line in job.logs(follow=True, after=after):
            after = line.cursor
            yield line
        decision, info = carry_on(job)
        if decision.why:
            hear(decision, info)
        if decision.action in ("done", "give_up"):
            return
        if decision.action == "wait":
            _sleep(decision, None, job)


def _sleep(decision: Decision, deadline: float | None, job: Job) -> None:
    """Until it is time; short of that, to see what another watcher does meanwhile."""
    if deadline is not None and time.monotonic() > deadline:
        raise TimeoutError(f"Job {job.uri} is not over yet: {decision.why or 'it goes on'}")
    time.sleep(min(LOOK_AGAIN_S, max(0.0, decision.not_before - time.time()) or LOOK_AGAIN_S))


# --- the decision and what it needs ---------------------------------------------------------------------------
def _ended_s_ago(status: Status) -> float:
    last = status.attempts[-1]
    return status.now - (last.ended_at or last.claimed_at or status.now)


def _may_leave_spot(status: Status) -> bool:
    """Whether a job that has not ended could be too late on spot: only then its history is read at every look."""
    if not isinstance(status.job.backend, SupportsOnDemand) or (plan := status.job.plan) is None:
        return False
    return bool(plan.spec["resources"]["spot"] and plan.spec["budget"]["finish_by"])


def _leave_spot(status: Status, decision: Decision) -> Decision:
    """Stop an attempt that waits for capacity. Whoever sees its end, and this note, starts the next one on demand."""
    note = json.dumps({"time": status.now, "why": decision.why}).encode()
    if not status.job.store.put_if_absent(contract.leave_spot_key(status.info.attempt), note):
        return Decision(action="wait")
    status.job.backend.cancel(status.job.name)
    return replace(decision, action="wait")


def _is_cancelled(status: Status) -> bool:
    """A person's cancel counts, also where the attempt had ended otherwise before."""
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
        work_left_hours=status.work_left.hours if status.work_left else plan.estimate.get("hours"),
        left_spot=left.get("why", ""),
    )


def _start(status: Status, decision: Decision) -> Decision:
    """Start the next attempt, unless it is too early, the budget is used, or somebody else was first."""
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
        resources = {**plan.spec["resources"], "spot": False}
        plan = replace(job.backend.on_demand(plan), spec={**plan.spec, "resources": resources})
    if decision.shrink:
        plan = retrying.shrunk(plan)
    left_s = budgets.left_s(status.budget, plan.usd_per_hour, hours=status.hours, cost_usd=status.cost_usd or 0.0)
    note: dict[str, Any] = {
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
