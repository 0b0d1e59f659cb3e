"""The folder on scratch in which an attempt works."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.storage.folder import delete_tree

OWNED = ("output", "run", "data", "datasets")
"""Only these are deleted: the folder itself may belong to the user."""


class Scratch:
    """The scratch folder of a job document."""

    def __init__(self, document: JobDocument) -> None:
        self._document = document
        self.folder = Path(document["scratch"])
        self.output, self.run, self._data = (self.folder / name for name in ("output", "run", "data"))

    @property
    def train_file(self) -> Path:
        """The file that tells the trainer processes what to do."""
        return self.run / worker_protocol.TRAIN_FILE

    def create(self) -> None:
        """Create empty folders and the data registration, and make the scratch folder the working directory."""
        self.clear()
        for folder in (self.output, self.run, self._data):
            folder.mkdir(parents=True)
        info = json.dumps(self._document["dataset_info"])
        (self._data / "dataset_info.json").write_text(info, encoding="utf-8")
        os.chdir(self.folder)  # relative paths that a trainer writes to belong here

    def clear(self) -> None:
        """Delete what an attempt has written here, as far as that is possible."""
        for name in OWNED:
            with contextlib.suppress(OSError):
                delete_tree(self.folder / name)

    def write_job(self, attempt: int, resume: Path | None) -> Path:
        """Write the file that tells the trainer processes what to do; returns its path."""
        job = worker_protocol.TrainJob(
            document=self._document,
            attempt=attempt,
            output=str(self.output),
            data=str(self._data),
            run=str(self.run),
            lease=worker_protocol.grant_lease(self.run),
            resume=str(resume) if resume else None,
        )
        self.train_file.write_text(json.dumps(job), encoding="utf-8")
        return self.train_file
