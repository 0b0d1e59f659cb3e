"""Following a job on the terminal: progress on stderr until the end, then the reason if there is no model."""

from __future__ import annotations

import sys

from ftsdk import contract
from ftsdk.cli.output import say
from ftsdk.job import Job
from ftsdk.model import Model


def follow_job(job: Job) -> Model:
    """Show progress until the job ends. Raises JobFailedError with the reason; Ctrl-C leaves the job running."""
    from ftsdk.progress import JobProgress

    try:
        with JobProgress(sys.stderr) as progress:
            for line in job.logs(follow=True):
                if (event := contract.parse_event(line.text)) is not None:
                    progress.event(event)
    except KeyboardInterrupt:
        say(f"Stopped watching; the job goes on. Watch again: ftsdk logs {job.uri} -f; end it: ftsdk cancel {job.uri}")
        raise
    model = job.result()
    say(f"Model: {model.uri}")
    return model
