"""The handles on a study's jobs."""

from __future__ import annotations

from ftsdk import backends
from ftsdk.errors import JobNotFoundError
from ftsdk.jobs.job import Job
from ftsdk.studies.document import StudyRecord


def job_of(record: StudyRecord, number: int) -> Job:
    """The handle on a job, with the backend and options it was planned for.

    Raises JobNotFoundError for a step of a pipeline that is not planned yet.
    """
    plan = record.plan(number)
    if plan is None:
        raise JobNotFoundError(f"Job {number} of {record.uri} is not planned yet: the steps before it have to end.")
    return Job(plan.uri, backends.at(plan.uri, plan.options))
