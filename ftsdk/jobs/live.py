"""Live progress of a job on a terminal or in a notebook, over all its attempts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.retrying import Decision
from ftsdk.jobs.watching import OnDecision, follow, ignore_decision
from ftsdk.storage.records import end_of_attempt
from ftsdk.terminal.progress import JobProgress


def can_show(stream: TextIO) -> bool:
    """Whether a person reads this stream as it is written: a terminal, or a notebook's output."""
    return stream.isatty() or "ipykernel" in sys.modules


@contextmanager
def interruptible(job: JobReference, stream: TextIO) -> Iterator[None]:
    """Around a wait: after Ctrl-C a line on the stream says what goes on, how to come back, and how to end the job."""
    try:
        yield
    except KeyboardInterrupt:
        stream.write(
            f"\nStopped watching; the job continues. Watch again: ftsdk follow {job.uri}; end it: "
            f"ftsdk cancel {job.uri}\n"
        )
        raise


def show(job: JobReference, stream: TextIO, *, on_decision: OnDecision = ignore_decision) -> None:
    """Show the progress of the newest attempt and of those that follow it, until the job is over.

    Starts what the retry policy says, as `watching.wait` does.
    """
    previous = job.info().attempt - 1
    after = end_of_attempt(previous, job.document["num_nodes"]) if previous else None
    with JobProgress(stream) as progress:

        def show_decision(decision: Decision, info: JobInfo) -> None:
            progress.line(decision.why)
            on_decision(decision, info)

        for line in follow(job, after=after, on_decision=show_decision):
            if (event := contract.parse_event(line.text)) is not None:
                progress.event(_without_message(event))


def _without_message(event: contract.Event) -> contract.Event:
    """A failure's message is shown once, with the error that ends the wait."""
    failed = event["event"] == contract.EVENT_OUTCOME and event["state"] != "SUCCEEDED"
    return {**event, "message": "", "hint": ""} if failed else event
