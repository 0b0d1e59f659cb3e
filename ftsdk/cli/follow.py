"""Following a job on the terminal: progress on stderr until it ends, then its model or the reason of its failure."""

from __future__ import annotations

import sys

from ftsdk.backends.base import JobInfo
from ftsdk.cli.output import say
from ftsdk.jobs import live
from ftsdk.jobs.job import Job
from ftsdk.jobs.retrying import Decision
from ftsdk.models.model import Model


def follow_job(job: Job) -> Model:
    """Show progress until the job is over. Raises JobFailedError if it made no model; Ctrl-C leaves it running."""
    with live.interruptible(job, sys.stderr):
        live.show(job, sys.stderr)
    return job.model()


def follow_jobs(jobs: list[Job]) -> list[Model]:
    """The same for several jobs at once. Raises JobFailedError for the first of them that made no model."""
    with live.interruptible(jobs, sys.stderr):
        live.show_many(jobs, sys.stderr)
    return [job.model() for job in jobs]


def say_decision(decision: Decision, info: JobInfo) -> None:
    """Say on stderr what follows an attempt."""
    if decision.action != "done":
        say(decision.why)
