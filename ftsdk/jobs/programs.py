"""What a job made, and the jobs that work on it: the verbs of `Model` start them here."""

from __future__ import annotations

import warnings

from ftsdk import backends
from ftsdk.backends.base import JobInfo, JobState, bucket_access
from ftsdk.errors import JobFailedError
from ftsdk.facts import inspect
from ftsdk.jobs import checks, watching
from ftsdk.jobs.launching import start_or_attach
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.starting import read_secrets
from ftsdk.models.model import Model, open_model
from ftsdk.spec import JobSpec
from ftsdk.storage import copying


def model_of(job: JobReference) -> Model:
    """The model that a job made. Raises JobFailedError if it has none (yet)."""
    info = job.info()
    if info.state is not JobState.SUCCEEDED:
        raise _no_model(job.uri, info)
    return open_model(job.store, job.uri, job.document, run=run_program)


def run_program(spec: JobSpec, backend: str) -> Model:
    """Run a job, or attach to an equal one, and return what it made. Warns with each warning of its plan.

    Raises UnsupportedError for what cannot fit, JobFailedError if the job fails.
    """
    place = backends.get(backend)
    plan = place.plan(spec, inspect(spec, access=bucket_access(place)))
    for sentence in plan.warnings:
        warnings.warn(sentence, stacklevel=3)
    checks.refuse_what_cannot_fit(plan)
    copying.refuse(plan.copies)
    job = JobReference(plan.uri, place)
    start_or_attach(job, plan, secrets=read_secrets(plan), on_attach=lambda info: None)
    watching.wait(job, None)
    return model_of(job)


def _no_model(uri: str, info: JobInfo) -> JobFailedError:
    if not info.state.terminal:
        return JobFailedError(f"Job {uri} is {info.state}: there is no model yet; `ftsdk wait {uri}` waits for it.")
    why = f" ({info.reason})" if info.reason else ""
    return JobFailedError(f"Job {uri} ended as {info.state}{why}: {info.message}", reason=info.reason or "error")
