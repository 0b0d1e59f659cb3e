"""What the trainer's own reporters write (TensorBoard, W&B offline): into a durable folder, or shipped to a bucket."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.storage.durable import Durable

SHIP_EVERY_S = 60.0


def folder(document: JobDocument) -> Path:
    """Where reporters write: `tensorboard/` and `wandb/` lie below."""
    if "://" in document["durable"]:
        return Path(document["scratch"], "reports")
    return Path(document["durable"])


class Reports:
    """Brings files that have grown to a bucket, now and then and at the end. A durable folder needs nothing of it."""

    def __init__(self, document: JobDocument, durable: Durable) -> None:
        self._folder, self._durable = folder(document), durable
        self._sizes: dict[Path, int] = {}
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if "://" in document["durable"]:
            self._thread.start()

    def finish(self, patience_s: float) -> None:
        """The trainer has ended: bring over what is left, at most so many seconds."""
        self._finish.set()
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def _run(self) -> None:
        while not self._finish.wait(SHIP_EVERY_S):
            self._ship()
        self._ship()

    def _ship(self) -> None:
        for path in sorted(self._folder.rglob("*")):
            with contextlib.suppress(OSError):  # gone, or the bucket does not answer: the next time
                size = path.stat().st_size
                if path.is_file() and self._sizes.get(path) != size:
                    self._durable.put_file(path.relative_to(self._folder).as_posix(), path)
                    self._sizes[path] = size
