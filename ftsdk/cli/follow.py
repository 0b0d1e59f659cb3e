"""Following a job on the terminal: progress on stderr until the end, then the reason if there is no model."""

from __future__ import annotations

import sys
from typing import Any

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.cli.output import say
from ftsdk.jobs import watching
from ftsdk.jobs.job import Job
from ftsdk.jobs.retrying import Decision
from ftsdk.models.model import Model
from ftsdk.storage.records import end_of_attempt


def follow_job(job: Job) -> Model:
    """Show the newest attempt's progress, and that of attempts that follow it, until nothing follows.

    Raises JobFailedError; Ctrl-C leaves the job running.
    """
    from ftsdk.terminal.progress import JobProgress

    earlier = job.info().attempt - 1
    after = end_of_attempt(earlier, job.document["num_nodes"]) if earlier else None
    try:
        with JobProgress(sys.stderr) as progress:
            for line in watching.follow(job, after=after, hear=lambda decision, info: progress.line(decision.why)):
                if (event := contract.parse_event(line.text)) is not None:
                    progress.event(_without_reason(event))
    except KeyboardInterrupt:
        say(f"Stopped watching; the job goes on. Watch again: ftsdk logs {job.uri} -f; end it: ftsdk cancel {job.uri}")
        raise
    model = job.model()
    say(f"Model: {model.uri}")
    return model


def say_decision(decision: Decision, info: JobInfo) -> None:
    """Tell a person what follows an attempt."""
    if decision.action != "done":
        say(decision.why)


def _without_reason(event: dict[str, Any]) -> dict[str, Any]:
    """A failure's own words come with the error, once."""
    failed = event["event"] == contract.EVENT_OUTCOME and event["state"] != "SUCCEEDED"
    return {**event, "message": "", "hint": ""} if failed else event
