"""Following a job on the terminal: progress on stderr until it ends, then its model or the reason of its failure."""

from __future__ import annotations

import sys

import click

from ftsdk.backends.base import JobInfo
from ftsdk.cli.jobs import attach, job_argument
from ftsdk.cli.output import emit, json_option, say
from ftsdk.jobs import live
from ftsdk.jobs.job import Job
from ftsdk.jobs.retrying import Decision
from ftsdk.models.model import Model


def follow_job(job: Job) -> Model:
    """Show progress until the job is over. Raises JobFailedError if it made no model; Ctrl-C leaves it running."""
    with live.interruptible(job, sys.stderr):
        live.show(job, sys.stderr)
    return job.model()


@click.command()
@job_argument
@json_option
def follow(job: str, as_json: bool) -> None:
    """Show JOB's progress until it is over, from any machine that reaches it; its model's address is printed last.

    Starts again what the job's `retry` says, as `wait` does. Ctrl-C leaves the job running.
    """
    model = follow_job(attach(job))
    emit({"uri": model.job_uri, "model": model.uri}, as_json, lambda: model.uri)


def say_decision(decision: Decision, info: JobInfo) -> None:
    """Say on stderr what follows an attempt."""
    if decision.action != "done":
        say(decision.why)
