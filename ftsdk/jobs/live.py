"""Live progress of jobs on a terminal or in a notebook, over all their attempts."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, TextIO

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.errors import BackendError, FtsdkError
from ftsdk.jobs.history import AttemptRecord
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.retrying import Decision
from ftsdk.jobs.status import Status
from ftsdk.jobs.watching import OnDecision, follow, ignore_decision
from ftsdk.plan import Plan
from ftsdk.sizing import remaining
from ftsdk.storage.records import end_of_attempt
from ftsdk.terminal.figures import Background, Figures
from ftsdk.terminal.progress import JobProgress, start_live

BACKGROUND_EVERY_S: Final = 30.0
"""Between two looks at a running job's attempts and cost; between them the cost is extrapolated."""
RANGE_REPORTS: Final = 64
"""Newest reports that the range of the remaining time is taken from."""


def can_show(stream: TextIO) -> bool:
    """Whether a person reads this stream as it is written: a terminal, or a notebook's output."""
    return stream.isatty() or "ipykernel" in sys.modules


@contextmanager
def interruptible(jobs: JobReference | Sequence[JobReference], stream: TextIO) -> Iterator[None]:
    """Around a wait: after Ctrl-C a line on the stream says what goes on, how to come back, and how to end the jobs."""
    every = [jobs] if isinstance(jobs, JobReference) else jobs
    try:
        yield
    except KeyboardInterrupt:
        goes_on = "the job continues" if len(every) == 1 else "the jobs continue"
        uris = " ".join(job.uri for job in every)
        stream.write(
            f"\nStopped watching; {goes_on}. Watch again: ftsdk follow {uris}; end it: ftsdk cancel {every[0].uri}\n"
        )
        raise


def show(job: JobReference, stream: TextIO, *, on_decision: OnDecision = ignore_decision) -> None:
    """Show the progress of a job until it is over: on a terminal all attempts, else the newest and those after it.

    Starts what the retry policy says, as `watching.wait` does.
    """
    with JobProgress(stream, background=background(job)) as progress:
        _feed(job, progress, after=None if stream.isatty() else _end_of_previous(job), on_decision=on_decision)


def show_many(jobs: Sequence[JobReference], stream: TextIO) -> None:
    """The same for several jobs at once: one table on a terminal, else lines that begin with the job's name.

    Raises the first error that following one of them has raised, after all have ended.
    """
    with ExitStack() as stack:
        shown = [JobProgress(stream, background=background(job), prefix=f"{job.name}: ") for job in jobs]
        if stream.isatty():
            live = start_live(stream, [progress.view for progress in shown])
            stack.callback(live.stop)
            for progress in shown:
                progress.share(live)
        problems: list[FtsdkError] = []
        threads = [
            threading.Thread(target=_feed_until_end, args=(job, progress, problems), daemon=True)
            for job, progress in zip(jobs, shown, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if problems:
        raise problems[0]


def background(job: JobReference) -> Background:
    """What the live view shows of a job besides its events."""
    status, plan = Status.of(job), job.plan
    estimate = plan.estimate if plan else None
    speed, document = estimate.speed if estimate else None, job.document
    devices = document["nproc_per_node"] * document["num_nodes"]
    return Background(
        uri=job.uri,
        about=_about(plan) if plan else document["base_model"],
        attempt=status.info.attempt,
        previous=tuple(map(_phrase, status.attempts[:-1])),
        tokens_per_s=(speed.low * devices, speed.high * devices) if speed else None,
        memory_gib=estimate.memory.total_gib if estimate and estimate.memory else None,
        usable_gib=estimate.usable_gib if estimate else None,
        usd_per_hour=None if status.attempts[-1].waiting else status.usd_per_hour,
        cost_usd=status.cost_usd,
        seen_at=status.now,
        max_cost_usd=status.budget.max_cost_usd,
    )


def _about(plan: Plan) -> str:
    spec, estimate = plan.spec, plan.estimate
    devices = plan.document["nproc_per_node"] * plan.document["num_nodes"]
    place = f"{devices} × {estimate.card}" if estimate.card else ""
    spot = "spot" if spec["resources"]["spot"] else ""
    method = f"{spec['method']['stage']}, {spec['tuning']['type']}"
    return "  ".join(filter(None, (spec["model"].rstrip("/").rpartition("/")[2], method, place, spot)))


def _phrase(attempt: AttemptRecord) -> str:
    step = f" at step {attempt.step}" if attempt.step is not None else ""
    return f"attempt {attempt.number}: {attempt.state.lower()}{step}, {attempt.reason or 'no reason'}"


def _end_of_previous(job: JobReference) -> str | None:
    previous = job.info().attempt - 1
    return end_of_attempt(previous, job.document["num_nodes"]) if previous else None


def _feed_until_end(job: JobReference, progress: JobProgress, problems: list[FtsdkError]) -> None:
    try:
        _feed(job, progress, after=_end_of_previous(job), on_decision=ignore_decision)
    except FtsdkError as problem:
        problems.append(problem)


def _feed(job: JobReference, progress: JobProgress, *, after: str | None, on_decision: OnDecision) -> None:
    refresh = _refresher(job, progress)

    def show_decision(decision: Decision, info: JobInfo) -> None:
        progress.line(decision.why)
        on_decision(decision, info)

    for line in follow(job, after=after, on_decision=show_decision):
        if (event := contract.parse_event(line.text)) is None:
            progress.log(line.text)
            continue
        progress.event(_without_message(event))
        if event["event"] == contract.EVENT_METRICS:
            set_range(progress.view.figures)
        refresh()


def _refresher(job: JobReference, progress: JobProgress) -> Callable[[], None]:
    """A function that looks at the job's attempts and cost again, at most every BACKGROUND_EVERY_S seconds."""
    looked_at = time.monotonic()

    def refresh() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at > BACKGROUND_EVERY_S:
            looked_at = time.monotonic()
            with suppress(BackendError, OSError):  # the view is older for a while
                progress.view.background = background(job)

    return refresh


def set_range(figures: Figures) -> None:
    """The range of the remaining time, from the pace of the last steps."""
    points = [*figures.times.items()][-RANGE_REPORTS:]
    left = remaining(points, figures.total_steps) if figures.total_steps else None
    figures.range_s = (3600 * left.hours_low, 3600 * left.hours_high) if left else None


def _without_message(event: contract.Event) -> contract.Event:
    """A failure's message is shown once, with the error that ends the wait."""
    failed = event["event"] == contract.EVENT_OUTCOME and event["state"] != "SUCCEEDED"
    return {**event, "message": "", "hint": ""} if failed else event
