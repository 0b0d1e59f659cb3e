"""Trains a setup in peace, then again under harm at random moments, and says in what the two differ."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench.resume import disks, judge
from bench.resume.setups import Setup
from ftsdk import backends, contract
from ftsdk.backends.base import JobState
from ftsdk.home import home_dir
from ftsdk.jobs.job import Job
from ftsdk.testing.faults import KINDS, Strike, strike
from ftsdk.testing.faults.rehearsal import start_again
from ftsdk.testing.faults.target import NothingToHarmError

PATIENCE_S = 300.0
DURING_START = 0.25
"""Share of the harms that come before the first step of an attempt."""
START_S, TRAINING_S = 6.0, 1.5
"""Within so many seconds of an attempt's start, or of its first step."""
LASTING_S = 0.5, 10.0
"""Shortest and longest cut of a network, or time of a full disk."""
SURVIVORS_WITHIN_S, GONE_WITHIN_S = 60.0, 10.0
"""How long processes may live on: other nodes' after one has died, any after the job's end."""
STORE_AWAY = "store-away"
ENDING = frozenset(name for name, kind in KINDS.items() if kind.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the training makes if nobody harms it."""

    weights: dict[str, str]
    """File -> SHA-256."""
    metrics: list[dict[str, Any]]
    seconds: float


@dataclass(slots=True, kw_only=True)
class Blow:
    """One harm, and what it cost."""

    strike: Strike
    during: str
    """`start` or `training`: where the attempt was."""
    start: int
    """Which start of the supervisor it hit, from 0."""
    survivors_s: float
    """Seconds until nothing of the attempt lived any more."""
    orphans: int
    """Processes that lived on all the same."""
    lost_steps: int | None = None
    """Steps that were done again; None if the start that was hit had not logged any."""
    while_publishing: int = 0
    """Those of them that were trained after the next checkpoint was saved, while it was on its way to storage."""

    @property
    def came_too_late(self) -> bool:
        """Whether the training was done already, so that nothing was interrupted."""
        return self.strike.state == JobState.SUCCEEDED

    @property
    def has_ended_one(self) -> bool:
        """Whether it ended an attempt, or one start of it: what a campaign counts as an interruption."""
        return not (self.came_too_late or self.was_sat_out)

    @property
    def was_sat_out(self) -> bool:
        """Whether the attempt lived on through it: an outage, as a rule."""
        return self.strike.kind not in ENDING and self.strike.state == JobState.RUNNING


@dataclass(slots=True, kw_only=True)
class Story:
    """A training under harm, from its submit to its end."""

    setup: Setup
    seed: int
    blows: list[Blow] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


def reference(setup: Setup, tiny: Path, label: str) -> Reference:
    """Train in peace. Raises JobFailedError if even that fails."""
    began = time.monotonic()
    job = setup.estimator(tiny, label).fit()
    return Reference(weights=judge.weights(job), metrics=job.metrics(), seconds=time.monotonic() - began)


def story(setup: Setup, tiny: Path, label: str, peace: Reference, *, seed: int, most: int) -> Story:
    """Train under at most `most` harms, then in peace to the end, and judge."""
    told = Story(setup=setup, seed=seed)
    began = time.monotonic()
    with _disk_of(setup, home_dir() / f"{label}-disk") as disk:
        job = setup.estimator(tiny, label, disk).fit(wait=False)
        try:
            _harm_and_judge(job, told, peace, most)
        finally:
            _put_away(job)
    told.seconds = time.monotonic() - began
    return told


def store_away(setup: Setup, tiny: Path, label: str, peace: Reference, *, seconds: float) -> Story:
    """Train while the file system of the results is away for so long: every write to it hangs."""
    told = Story(setup=setup, seed=0)
    began = time.monotonic()
    with disks.in_a_file(home_dir() / f"{label}-disk") as disk:
        job = setup.estimator(tiny, label, disk).fit(wait=False)
        try:
            _first_step(job)
            told.blows.append(_away(job, disk, seconds))
            _judge(job, told, peace)
        finally:
            _put_away(job)
    told.seconds = time.monotonic() - began
    return told


def _away(job: Job, disk: Path, seconds: float) -> Blow:
    info, at, step = job.info(), time.time(), max((record["step"] for record in job.metrics()), default=0)
    disks.away(disk, seconds).join()
    struck = Strike(
        kind=STORE_AWAY,
        what=f"every write to {disk.name} hung for {seconds:g} s",
        at=at,
        attempt=info.attempt,
        step=step,
        state=job.info().state.value,
        reason="",
        message="",
    )
    return Blow(strike=struck, during="training", start=0, survivors_s=0.0, orphans=0)


def _harm_and_judge(job: Job, told: Story, peace: Reference, most: int) -> None:
    chance = Random(told.seed)
    while len(told.blows) < most and (blow := _blow(job, told.setup, chance)) is not None:
        told.blows.append(blow)
        start_again(job)
    _judge(job, told, peace)


def _judge(job: Job, told: Story, peace: Reference) -> None:
    setup, info = told.setup, job.wait(PATIENCE_S)
    if info.state is not JobState.SUCCEEDED:
        told.violations.append(f"ended as {info.state} ({info.reason}): {info.message}")
        return
    _count_losses(job, told.blows)
    told.violations += [fault for blow in told.blows for fault in judge.faults(setup, blow)]
    told.violations += judge.differences(peace, job)
    if left := _gone_after(job, GONE_WITHIN_S)[1]:
        told.violations.append(f"{left} processes live on after the end")


def _disk_of(setup: Setup, folder: Path) -> AbstractContextManager[Path | None]:
    return disks.in_memory(folder) if setup.own_disk else nullcontext()


def _put_away(job: Job) -> None:
    """What still runs (after a violation) ends; containers of jobs that are over are removed by the next look."""
    if not job.done():
        job.cancel()
        job.wait(PATIENCE_S)
    list(backends.get(job.uri.partition("://")[0]).list())


# --- one harm ---------------------------------------------------------------------------------------------------
def _blow(job: Job, setup: Setup, chance: Random) -> Blow | None:
    """One harm at a random moment of the attempt that runs; None if the job ends before it."""
    during = "start" if chance.random() < DURING_START else "training"
    kind = chance.choice(setup.kinds)
    moment_s = chance.uniform(0, START_S if during == "start" else TRAINING_S)
    if during == "training":
        _first_step(job)
    time.sleep(moment_s)
    while not job.done():
        starts = len(list(starts_of(job)))
        try:
            struck = strike(job, kind, chance, lasting_s=chance.uniform(*LASTING_S))
        except NothingToHarmError:  # no process or no checkpoint to harm yet
            time.sleep(0.05)
            continue
        goes_on = struck.state == JobState.RUNNING
        survivors_s, orphans = (0.0, 0) if goes_on else _gone_after(job, SURVIVORS_WITHIN_S)
        return Blow(strike=struck, during=during, start=starts - 1, survivors_s=survivors_s, orphans=orphans)
    return None


def _first_step(job: Job) -> None:
    """Until the start that runs now has logged a step, or the job has ended."""
    cursor = None
    for line in job.logs():
        cursor = line.cursor
    for event in job.events(follow=True, after=cursor):
        if event["event"] == contract.EVENT_METRICS:
            return


def _gone_after(job: Job, patience_s: float) -> tuple[float, int]:
    """How many seconds processes of a job that has ended live on, and how many live longer than is allowed."""
    began = time.monotonic()
    while alive := family(job.name):
        if time.monotonic() - began > patience_s:
            return time.monotonic() - began, len(alive)
        time.sleep(0.05)
    return time.monotonic() - began, 0


def family(name: str) -> list[int]:
    """Every process of a job on this machine, in containers too: what carries its name in the environment."""
    mark = f"{contract.ENV_NATIVE_NAME}={name}-a".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
    return found


# --- what it cost -----------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Start:
    """One start of the first node's supervisor, as its log tells it."""

    trained: bool = False
    resumed_from: int = 0
    reached: int = 0
    unpublished: int | None = None
    """The first step that is saved behind the last COMMIT."""


def starts_of(job: Job) -> Iterator[Start]:
    """Every start so far, in their order."""
    start: Start | None = None
    for line in job.logs():
        event = contract.parse_event(line.text)
        if event is None or contract.parse_stamp(line.cursor.split(",")[0]).node:
            continue
        if event["event"] == contract.EVENT_PHASE and event["phase"] == "preparing":
            if start:
                yield start
            start = Start()
        elif start and event["event"] == contract.EVENT_PHASE and event["phase"] == "training":
            start.trained, start.resumed_from = True, event["resume_step"] or 0
        elif start:
            _note(start, event)
    if start:
        yield start


def _note(start: Start, event: dict[str, Any]) -> None:
    match event["event"]:
        case contract.EVENT_METRICS:
            start.reached = max(start.reached, event["step"])
        case contract.EVENT_CHECKPOINT:
            start.unpublished = start.unpublished or event["step"]
        case contract.EVENT_COMMIT:
            start.unpublished = None


def _count_losses(job: Job, blows: list[Blow]) -> None:
    starts = list(starts_of(job))
    for blow in blows:
        hit = starts[blow.start]
        after = next((start for start in starts[blow.start + 1 :] if start.trained), None)
        if hit.reached and after and blow.has_ended_one:
            blow.lost_steps = hit.reached - after.resumed_from
            blow.while_publishing = hit.reached - hit.unpublished if hit.unpublished else 0
