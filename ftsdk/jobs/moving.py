"""Moving a job to another backend, where it goes on from its newest checkpoint."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ftsdk import contract
from ftsdk.backends.base import Backend, JobState
from ftsdk.errors import BackendError, JobNotFoundError, SpecError, WaitTimeoutError
from ftsdk.jobs.job import Job
from ftsdk.jobs.starting import no_bar
from ftsdk.jobs.submit import submit
from ftsdk.plan import Plan
from ftsdk.runtime.checkpoints.checkpoints import committed
from ftsdk.runtime.storage.base import Store
from ftsdk.spec import JobSpec
from ftsdk.storage.staging import Bar
from ftsdk.storage.store import open_store

STOP_TIMEOUT_S = 900.0
"""The longest grace of a platform, and a save."""
POLL_S = 1.0


def spec_of(job: Job) -> tuple[JobSpec, Path]:
    """The spec of a job that may be moved, and the folder of its relative paths.

    Raises SpecError for a job that has succeeded, or that an earlier release submitted.
    """
    if job.state is JobState.SUCCEEDED:
        raise SpecError(f"Job {job.uri} has succeeded: there is nothing to go on with; `ftsdk model` has its model.")
    origin = job.document.get("origin")
    if origin is None:
        raise SpecError(f"Job {job.uri} was submitted by a release of ftsdk that recorded no spec: submit its file.")
    return JobSpec.model_validate(origin["spec"], strict=False), Path(origin["folder"])


def move(
    job: Job,
    plan: Plan,
    backend: Backend,
    *,
    secrets: Mapping[str, str],
    on_stop: Callable[[], None] = lambda: None,
    bar: Bar = no_bar,
) -> Job:
    """Stop a job, copy its checkpoints to where a plan of the same training keeps its own, and start that plan.

    Args:
        job: the job that ends here.
        plan: the same spec on the other backend.
        backend: the other backend.
        secrets: name -> value of the plan's secrets.
        on_stop: called before the job is stopped, if it runs.
        bar: opens a progress bar for each transfer.

    Raises SpecError if the plan is another training or the place is the same, WaitTimeoutError for a job that does not
    stop, BackendError if the other place holds checkpoints of this training already.
    """
    digest = job.document["digest"]
    target = _target(job, plan, digest)
    _stop(job, on_stop)
    step = _copy_checkpoints(job.store, target, digest, bar)
    went = "begins at step 0: it had no checkpoint" if step is None else f"goes on from step {step}"
    note = f"Moved from {job.uri}: the training {went}."
    moved = replace(plan, document={**plan.document, "notes": [*plan.document["notes"], note]})
    return submit(moved, backend, secrets=dict(secrets), on_attach=lambda info: None, bar=bar)


def _target(job: Job, plan: Plan, digest: str) -> Store:
    """The other place. Nothing is changed by this."""
    if plan.digest != digest:
        raise SpecError(
            f"Job {job.uri} cannot be moved: its model or data has changed since it was submitted, or it was submitted "
            f"with --again; submit it on {plan.backend} as a new job."
        )
    target = open_store(plan.document["durable"], plan.storage)
    if plan.uri == job.uri or target.uri == job.store.uri:
        raise SpecError(f"Job {job.uri} is there already: name another backend, or another `output`.")
    try:
        state = Job.attach(plan.uri).state
    except JobNotFoundError:
        return target
    raise BackendError(f"Job {plan.uri} exists already ({state}): remove it first (`ftsdk clean {plan.uri}`).")


def _stop(job: Job, on_stop: Callable[[], None]) -> None:
    """Have the job save its state and end; a watcher does not start a cancelled one again."""
    if not job.done():
        on_stop()
    job.cancel()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not job.done():
        if time.monotonic() > deadline:
            raise WaitTimeoutError(f"Job {job.uri} has not stopped within {STOP_TIMEOUT_S:.0f} s: try again later.")
        time.sleep(POLL_S)


def _copy_checkpoints(source: Store, target: Store, digest: str, bar: Bar) -> int | None:
    """Copy every committed checkpoint, each COMMIT last, and return the newest step. A resume verifies every byte."""
    commits = committed(source, digest)
    objects = [item for commit in commits for item in source.list(f"{commit.prefix}/")]
    last = [item for item in objects if item.key.endswith(f"/{contract.COMMIT_FILE}")]
    with (
        tempfile.TemporaryDirectory(prefix="ftsdk-move-") as folder,
        bar("Copying checkpoints", sum(item.bytes for item in objects)) as on_bytes,
    ):
        for item in [*(item for item in objects if item not in last), *last]:
            local = Path(folder, "object")
            source.fetch(item.key, local)
            target.put_file(item.key, local, on_bytes)
            local.unlink()
    return commits[0].step if commits else None
