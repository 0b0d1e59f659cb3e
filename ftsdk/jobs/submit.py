"""Submitting a plan: start its job, or attach to the one that exists."""

from __future__ import annotations

from collections.abc import Callable

from ftsdk.backends.base import Backend, JobInfo
from ftsdk.jobs.job import Job
from ftsdk.jobs.launching import start_or_attach
from ftsdk.jobs.starting import no_bar
from ftsdk.plan import Plan
from ftsdk.storage.staging import Bar


def submit(
    plan: Plan, backend: Backend, *, secrets: dict[str, str], on_attach: Callable[[JobInfo], None], bar: Bar = no_bar
) -> Job:
    """Start a plan's job, or attach to it if it runs or has succeeded; a failed or cancelled one gets a new attempt.

    `on_attach` is called with the state of a job that exists already; `bar` opens a progress bar for each transfer.
    """
    job = Job(plan.uri, backend)
    start_or_attach(job, plan, secrets=secrets, on_attach=on_attach, bar=bar)
    return job
