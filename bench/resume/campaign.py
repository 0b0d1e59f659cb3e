"""Trains a setup without faults, then again with faults at random moments, and reports the differences."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random

from bench.resume import disks, judge
from bench.resume.records import Baseline, CampaignRun, MeasuredFault
from bench.resume.setups import Setup
from bench.resume.starts import count_losses, starts_of
from ftsdk import backends, contract
from ftsdk.backends.base import JobState
from ftsdk.home import home_dir
from ftsdk.jobs.job import Job
from ftsdk.testing.faults import Fault, inject
from ftsdk.testing.faults.injection import start_again
from ftsdk.testing.faults.target import NoTargetError
from ftsdk.testing.processes import job_processes

JOB_TIMEOUT_S = 300.0
START_SHARE = 0.25
"""Share of the faults that come before the first step of an attempt."""
START_S, TRAINING_S = 6.0, 1.5
"""A fault comes within so many seconds of an attempt's start, or of its first step."""
LASTING_S = 0.5, 10.0
"""Shortest and longest outage of a network, or time for which a disk is full."""
SURVIVORS_TIMEOUT_S, END_TIMEOUT_S = 60.0, 10.0
"""How long processes may run on: other nodes' after one has ended, any after the job's end."""
STORE_AWAY = "store-away"


def run_baseline(setup: Setup, tiny: Path, label: str) -> Baseline:
    """Train without faults. Raises JobFailedError if that fails."""
    began = time.monotonic()
    job = setup.estimator(tiny, label).fit()
    return Baseline(weights=judge.weights(job), metrics=job.metrics(), seconds=time.monotonic() - began)


def run_with_faults(
    setup: Setup, tiny: Path, label: str, baseline: Baseline, *, seed: int, max_faults: int
) -> CampaignRun:
    """Train with at most `max_faults` faults, then without to the end, and judge the result."""
    run = CampaignRun(setup=setup, seed=seed)
    began = time.monotonic()
    with _disk_of(setup, home_dir() / f"{label}-disk") as disk:
        job = setup.estimator(tiny, label, disk).fit(wait=False)
        try:
            _inject_and_judge(job, run, baseline, max_faults)
        finally:
            _clean_up(job)
    run.seconds = time.monotonic() - began
    return run


def run_without_store(setup: Setup, tiny: Path, label: str, baseline: Baseline, *, seconds: float) -> CampaignRun:
    """Train while the file system of the results hangs for `seconds`: every write to it blocks."""
    run = CampaignRun(setup=setup, seed=0)
    began = time.monotonic()
    with disks.in_a_file(home_dir() / f"{label}-disk") as disk:
        job = setup.estimator(tiny, label, disk).fit(wait=False)
        try:
            _wait_for_step(job)
            run.faults.append(_freeze(job, disk, seconds))
            _judge(job, run, baseline)
        finally:
            _clean_up(job)
    run.seconds = time.monotonic() - began
    return run


def _freeze(job: Job, disk: Path, seconds: float) -> MeasuredFault:
    info, at, step = job.info(), time.time(), max((record["step"] for record in job.metrics()), default=0)
    disks.away(disk, seconds).join()
    outage = Fault(
        kind=STORE_AWAY,
        what=f"every write to {disk.name} hung for {seconds:g} s",
        at=at,
        attempt=info.attempt,
        step=step,
        state=job.info().state.value,
        reason="",
        message="",
    )
    return MeasuredFault(fault=outage, during="training", start=0, survivors_s=0.0, orphans=0)


def _inject_and_judge(job: Job, run: CampaignRun, baseline: Baseline, max_faults: int) -> None:
    chance = Random(run.seed)
    while len(run.faults) < max_faults and (fault := _inject(job, run.setup, chance)) is not None:
        run.faults.append(fault)
        start_again(job)
    _judge(job, run, baseline)


def _inject(job: Job, setup: Setup, chance: Random) -> MeasuredFault | None:
    """One fault at a random moment of the running attempt; None if the job ends before it."""
    during = "start" if chance.random() < START_SHARE else "training"
    kind = chance.choice(setup.kinds)
    moment_s = chance.uniform(0, START_S if during == "start" else TRAINING_S)
    if during == "training":
        _wait_for_step(job)
    time.sleep(moment_s)
    while not job.done():
        starts = len(list(starts_of(job)))
        try:
            done = inject(job, kind, chance, lasting_s=chance.uniform(*LASTING_S))
        except NoTargetError:  # no process or no checkpoint yet
            time.sleep(0.05)
            continue
        continues = done.state == JobState.RUNNING
        survivors_s, orphans = (0.0, 0) if continues else _wait_for_processes(job, SURVIVORS_TIMEOUT_S)
        return MeasuredFault(fault=done, during=during, start=starts - 1, survivors_s=survivors_s, orphans=orphans)
    return None


def _judge(job: Job, run: CampaignRun, baseline: Baseline) -> None:
    setup, info = run.setup, job.wait(JOB_TIMEOUT_S)
    if info.state is not JobState.SUCCEEDED:
        run.violations.append(f"ended as {info.state} ({info.reason}): {info.message}")
        return
    count_losses(job, run.faults)
    run.violations += [violation for fault in run.faults for violation in judge.violations(setup, fault)]
    run.violations += judge.differences(baseline, job)
    if left := _wait_for_processes(job, END_TIMEOUT_S)[1]:
        run.violations.append(f"{left} processes live on after the end")


def _disk_of(setup: Setup, folder: Path) -> AbstractContextManager[Path | None]:
    return disks.in_memory(folder) if setup.own_disk else nullcontext()


def _clean_up(job: Job) -> None:
    """End what still runs (after a violation); listing the jobs removes the containers of those that have ended."""
    if not job.done():
        job.cancel()
        job.wait(JOB_TIMEOUT_S)
    list(backends.get(job.uri.partition("://")[0]).list())


def _wait_for_step(job: Job) -> None:
    """Wait until the running start has logged a step, or the job has ended."""
    cursor = None
    for line in job.logs():
        cursor = line.cursor
    for event in job.events(follow=True, after=cursor):
        if event["event"] == contract.EVENT_METRICS:
            return


def _wait_for_processes(job: Job, timeout_s: float) -> tuple[float, int]:
    """Wait for the end of an ended job's processes: (seconds waited, processes left after the timeout)."""
    began = time.monotonic()
    while alive := job_processes(job.name):
        if time.monotonic() - began > timeout_s:
            return time.monotonic() - began, len(alive)
        time.sleep(0.05)
    return time.monotonic() - began, 0
