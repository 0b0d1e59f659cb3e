"""Going on from a finished job's last checkpoint with more epochs or steps."""

from __future__ import annotations

from pathlib import Path

from ftsdk.errors import JobFailedError, JobNotFoundError
from ftsdk.home import home_dir
from ftsdk.jobs import journal
from ftsdk.jobs.job import Job
from ftsdk.plan.build import NOT_IN_THE_MODEL
from ftsdk.runtime.checkpoints.checkpoints import DamagedCheckpointError, committed, restore
from ftsdk.spec import JobSpec

LENGTHS = ("num_train_epochs", "max_steps")
"""Hyperparameters in which the two jobs may differ."""


def job_to_continue(spec: JobSpec, backend: str) -> str:
    """URI of this machine's newest succeeded job that differs from a spec in its epochs or steps only.

    Raises JobNotFoundError if there is none.
    """
    wanted = _without_length(spec)
    for plan in journal.plans():
        is_same = plan.backend == backend and _without_length(JobSpec.model_validate(plan.spec)) == wanted
        if is_same and Job.attach(plan.uri).info().state == "SUCCEEDED":
            return plan.uri
    raise JobNotFoundError(
        f"No finished job of this machine on {backend} differs from {spec.name} in num_train_epochs or max_steps only: "
        f"name one (`ftsdk jobs` lists them)."
    )


def newest_checkpoint(uri: str) -> Path:
    """A folder of this machine with a job's newest checkpoint, every byte verified.

    Raises JobFailedError if the job has none.
    """
    job = Job.attach(uri)
    for commit in committed(job.store, job.document["digest"]):
        folder = home_dir() / "cache" / "checkpoints" / job.name / f"checkpoint-{commit.step}"
        try:
            if not folder.is_dir():
                restore(job.store, commit, folder)
        except DamagedCheckpointError:
            continue
        return folder
    raise JobFailedError(f"Job {uri} has no checkpoint: give it as `model` to go on from its weights alone.")


def _without_length(spec: JobSpec) -> dict[str, object]:
    data = spec.model_dump(mode="json", exclude=NOT_IN_THE_MODEL)
    return {**data, "hyperparameters": {k: v for k, v in data["hyperparameters"].items() if k not in LENGTHS}}
