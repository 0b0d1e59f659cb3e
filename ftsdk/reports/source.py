"""The lineage record of what a user names: a job, or a folder with a downloaded model."""

from __future__ import annotations

from pathlib import Path

from ftsdk.contract.lineage import LINEAGE_FILE, LineageRecord
from ftsdk.errors import SpecError
from ftsdk.jobs.job import Job
from ftsdk.models.lineage import read_folder


def record_of(model: str) -> LineageRecord:
    """The record of a job's model or of a folder with one.

    Raises SpecError for a folder without a record, JobNotFoundError and JobFailedError for a job without a model.
    """
    folder = Path(model).expanduser()
    if "://" in model or not folder.is_dir():
        return Job.attach(model).model().lineage
    record = read_folder(folder)
    if record is None:
        raise SpecError(
            f"{folder} has no readable {LINEAGE_FILE}: name the job that made the model (`ftsdk jobs` lists them), or "
            f"a folder that `ftsdk model JOB --download` made."
        )
    return record
