"""Causes faults, at once or at random moments, and starts the job again as a second submit would."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ftsdk import contract
from ftsdk.backends import folders
from ftsdk.backends.base import JobInfo, JobState
from ftsdk.jobs.job import Job
from ftsdk.jobs.starting import read_secrets
from ftsdk.jobs.submit import submit
from ftsdk.plan import Plan
from ftsdk.storage.records import end_of_attempt
from ftsdk.testing.faults.kinds import GENTLE, fault_kind
from ftsdk.testing.faults.target import POLL_S, NoTargetError, Target, backend_of, ended

ENDS_WITHIN_S = 180.0
"""Limit for a job to end or restart after a fault: its grace, a publish, other nodes noticing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One injected fault and its consequence."""

    kind: str
    what: str
    """What was done, in words."""
    at: float
    """When, in seconds since the epoch."""
    attempt: int
    step: int
    """Last step that the attempt had logged."""
    state: str
    """The job's state after it: FAILED, CANCELLED or SUCCEEDED; RUNNING if it goes on by itself."""
    reason: str
    message: str


def inject(job: Job, kind: str, chance: random.Random, *, lasting_s: float = 10.0) -> Fault:
    """Cause one fault in a running job and wait until the job has ended or runs again.

    Raises NoTargetError if the fault has no target (yet), UnsupportedError where it is not safe.
    """
    backend = backend_of(job)
    chosen = fault_kind(kind, backend)
    before, starts = job.info(), _starts(job)
    if before.state.terminal:
        raise ended(job)
    at = time.time()
    what = chosen.do(Target(job=job, backend=backend, chance=chance, lasting_s=lasting_s))
    after = _wait_until_ended(job, starts) if chosen.ends else job.info()
    return Fault(
        kind=kind,
        what=what,
        at=at,
        attempt=before.attempt,
        step=_last_step(job),
        state=after.state.value,
        reason=after.reason,
        message=after.message,
    )


def inject_repeatedly(
    job: Job,
    kinds: Sequence[str],
    *,
    seed: int,
    times: int,
    within_s: float,
    lasting_s: float = 10.0,
    go_on: bool = True,
) -> Iterator[Fault]:
    """Cause `times` faults, each at a random moment within `within_s` seconds of a running attempt.

    After each, a job that has ended is started again as the same submit would, unless `go_on` is false. Stops early
    if the job ends. Raises what `inject` raises, NoTargetError for a job that does not run, and
    AuthError if the job has secrets that are not in the environment.
    """
    chance = random.Random(seed)
    chosen = tuple(kinds) or GENTLE
    if job.done():
        raise ended(job)
    read_secrets(_plan(job))  # better now than after the fault
    for number in range(times):
        if not _comes_to(job, chance.uniform(0, within_s)):
            return
        done = _inject_when_possible(job, chance.choice(chosen), chance, lasting_s)
        if done is None:
            return
        if go_on or number + 1 < times:
            start_again(job)
        yield done


def start_again(job: Job) -> None:
    """What a second submit of the same spec and data does: nothing to a job that runs or has succeeded."""
    plan = _plan(job)
    submit(plan, job.backend, secrets=read_secrets(plan), on_attach=lambda info: None)


def _plan(job: Job) -> Plan:
    return folders.find(backend_of(job), job.name).plan


def _comes_to(job: Job, moment_s: float) -> bool:
    """Wait until the job runs, then this long; False if it ends before."""
    while (state := job.state) is not JobState.RUNNING:
        if state.terminal:
            return False
        time.sleep(POLL_S)
    until = time.monotonic() + moment_s
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, 0.5))
        if job.done():
            return False
    return not job.done()


def _inject_when_possible(job: Job, kind: str, chance: random.Random, lasting_s: float) -> Fault | None:
    """A trainer process or a checkpoint may have yet to come; None if the job ends first."""
    while not job.done():
        try:
            return inject(job, kind, chance, lasting_s=lasting_s)
        except NoTargetError:
            time.sleep(POLL_S)
    return None


def _wait_until_ended(job: Job, starts: int) -> JobInfo:
    """The job's state once it has ended, or has restarted by itself after that many starts."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    announced = max(starts, job.document["num_nodes"])  # the start that was hit may not have said so yet
    while not (info := job.info()).state.terminal and _starts(job) <= announced:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    return info


def _starts(job: Job) -> int:
    """How often a supervisor of the newest attempt has begun: what restarts a crashed job need not be us."""
    return sum(event["event"] == contract.EVENT_PHASE and event["phase"] == "preparing" for event in _events(job))


def _events(job: Job) -> Iterator[contract.Event]:
    """What the newest attempt has logged."""
    attempt = job.info().attempt
    return job.events(after=end_of_attempt(attempt - 1, job.document["num_nodes"]) if attempt > 1 else None)


def _last_step(job: Job) -> int:
    """The last step that the newest attempt's log shows; 0 if it shows none."""
    return max((event["step"] for event in _events(job) if event["event"] == contract.EVENT_METRICS), default=0)
