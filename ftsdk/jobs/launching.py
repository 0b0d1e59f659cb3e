"""Starting a plan's job, or leaving the one that exists alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from ftsdk.backends.base import JobInfo, JobState
from ftsdk.errors import JobNotFoundError, SpecError
from ftsdk.jobs import history
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.starting import no_bar, start
from ftsdk.plan import Plan, budgets
from ftsdk.spec import Budget
from ftsdk.storage.staging import Bar


def start_or_attach(
    job: JobReference,
    plan: Plan,
    *,
    secrets: Mapping[str, str],
    on_attach: Callable[[JobInfo], None],
    bar: Bar = no_bar,
) -> None:
    """Start the job unless it runs or has succeeded; a failed or cancelled one gets a new attempt.

    `on_attach` is called with the state of a job that exists already; `bar` opens a progress bar for each transfer.
    """
    existing = _existing(job)
    if existing is not None and (not existing.state.terminal or existing.state is JobState.SUCCEEDED):
        on_attach(existing)
        return
    start(job, plan.for_attempt(1) if existing is None else _after(job, existing, plan), secrets, bar=bar)


def _existing(job: JobReference) -> JobInfo | None:
    try:
        return job.info()
    except JobNotFoundError:
        return None


def _after(job: JobReference, existing: JobInfo, plan: Plan) -> Plan:
    """The next attempt, with what is left of the budget. Raises SpecError if nothing is."""
    budget = Budget.model_validate(plan.spec["budget"])
    next_attempt = plan.for_attempt(existing.attempt + 1)
    if plan.document["budget_s"] is None:
        return next_attempt
    attempts = history.history(job.store, existing, num_nodes=job.document["num_nodes"], now=time.time())
    hours = history.hours(attempts)
    left_s = budgets.left_s(budget, plan.usd_per_hour, hours=hours, cost_usd=history.cost_usd(attempts) or 0.0)
    if not left_s:
        raise SpecError(
            f"Job {job.uri} has used its budget ({hours:.3g} h of running): raise budget.max_hours or "
            f"budget.max_cost_usd, then submit again; it goes on from its last checkpoint."
        )
    return replace(next_attempt, document={**plan.document, "budget_s": left_s})
