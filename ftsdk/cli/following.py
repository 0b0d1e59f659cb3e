"""Following a job on the terminal: progress on stderr until the end, then the reason if there is no model."""

from __future__ import annotations

import sys
from typing import Any

from ftsdk import contract
from ftsdk.cli.output import say
from ftsdk.job import Job
from ftsdk.model import Model
from ftsdk.records import end_of_attempt


def follow_job(job: Job) -> Model:
    """Show the newest attempt's progress until the job ends. Raises JobFailedError; Ctrl-C leaves the job running."""
    from ftsdk.progress import JobProgress

    earlier = job.info().attempt - 1
    after = end_of_attempt(earlier, job.document["num_nodes"]) if earlier else None
    try:
        with JobProgress(sys.stderr) as progress:
            for event in job.events(follow=True, after=after):
                progress.event(_without_reason(event))
    except KeyboardInterrupt:
        say(f"Stopped watching; the job goes on. Watch again: ftsdk logs {job.uri} -f; end it: ftsdk cancel {job.uri}")
        raise
    model = job.result()
    say(f"Model: {model.uri}")
    return model


def _without_reason(event: dict[str, Any]) -> dict[str, Any]:
    """A failure's own words come with the error, once."""
    failed = event["event"] == contract.EVENT_OUTCOME and event["state"] != "SUCCEEDED"
    return {**event, "message": "", "hint": ""} if failed else event
