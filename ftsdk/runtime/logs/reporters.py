"""The files of the trainer's own reporters (TensorBoard, W&B offline): in a durable folder, or uploaded to a bucket."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.storage.durable import Durable

UPLOAD_EVERY_S = 60.0


def folder(document: JobDocument) -> Path:
    """Where reporters write: the parent of `tensorboard/` and `wandb/`."""
    if "://" in document["durable"]:
        return Path(document["scratch"], "reports")
    return Path(document["durable"])


class ReportUploader:
    """Uploads files that have grown to a bucket, periodically and at the end. Does nothing for a durable folder."""

    def __init__(self, document: JobDocument, durable: Durable) -> None:
        self._folder, self._durable = folder(document), durable
        self._sizes: dict[Path, int] = {}
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if "://" in document["durable"]:
            self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Upload what is left after the trainer's end, for at most `timeout_s` seconds."""
        self._finish.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._finish.wait(UPLOAD_EVERY_S):
            self._upload()
        self._upload()

    def _upload(self) -> None:
        for path in sorted(self._folder.rglob("*")):
            with contextlib.suppress(OSError):  # deleted meanwhile, or the bucket does not respond: retried next time
                size = path.stat().st_size
                if path.is_file() and self._sizes.get(path) != size:
                    self._durable.put_file(path.relative_to(self._folder).as_posix(), path)
                    self._sizes[path] = size
