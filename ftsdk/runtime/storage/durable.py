"""Durable storage of a job: a store to which log segments can be appended, and how to open it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.storage.base import ObjectInfo, OnBytes, Store, StoredObject, ignore_bytes
from ftsdk.runtime.storage.folder import FolderStore, link_or_copy
from ftsdk.runtime.storage.waiting import (
    CALL_TIMEOUT_S,
    FILE_TIMEOUT_S,
    AppendQueue,
    QueuedAppender,
    while_moving,
    within,
)


class Appender(Protocol):
    """A growing object."""

    def write(self, data: bytes | memoryview) -> int:
        """Append; returns how many bytes are stored or spooled, at least one. Raises OSError if none could be."""

    def close(self) -> None:
        """Close it."""


class Durable(Store, Protocol):
    """A store that outlives the attempt. Files of `fetch` are for reading only: they may be hard links."""

    segment_bytes: int
    """Size at which a log segment should end and the next one begin."""
    lines_apart: int
    """Distance between the line numbers of two starts of one attempt. It exceeds the number of lines that a killed
    start may have written to other places without storing them, so their numbers do not collide."""

    def appender(self, key: str) -> Appender:
        """Open a new object, or again the one that was opened last, for appending."""

    def stalled_s(self) -> float:
        """For how long the oldest part of the log has been waiting for storage that does not respond; 0 if none is."""

    def settle(self, timeout_s: float, folder: str = "") -> None:
        """Wait until all that was appended, below a folder if one is named, is stored, at most so many seconds."""


class DurableFolder(FolderStore):
    """Durable storage in a folder. Calls to a mount that hangs raise TimeoutError (an OSError) instead of hanging.

    Args:
        root: the folder.
        spool: folder on local disk for log lines that the mount does not accept; the system's own by default.
    """

    segment_bytes = 64 << 20
    lines_apart = 0

    def __init__(self, root: Path | str, spool: Path | None = None) -> None:
        super().__init__(root)
        self._appends = AppendQueue(spool)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(within(CALL_TIMEOUT_S, lambda: [*super(DurableFolder, self).list(prefix)]))

    def size(self, key: str) -> int:
        return within(CALL_TIMEOUT_S, lambda: super(DurableFolder, self).size(key))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return within(CALL_TIMEOUT_S, lambda: super(DurableFolder, self).read(key, start, length))

    def put(self, key: str, data: bytes) -> None:
        within(CALL_TIMEOUT_S, lambda: super(DurableFolder, self).put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return within(CALL_TIMEOUT_S, lambda: super(DurableFolder, self).put_if_absent(key, data))

    def put_file(self, key: str, source: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        return while_moving(lambda moved: super(DurableFolder, self).put_file(key, source, moved), on_bytes)

    def fetch(self, key: str, target: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        def link(moved: OnBytes) -> StoredObject:
            target.parent.mkdir(parents=True, exist_ok=True)
            return link_or_copy(self.path(key), target, moved)

        return while_moving(link, on_bytes)

    def delete(self, *keys: str) -> None:
        within(CALL_TIMEOUT_S, lambda: super(DurableFolder, self).delete(*keys))

    def delete_folder(self, folder: str) -> None:
        within(FILE_TIMEOUT_S, lambda: super(DurableFolder, self).delete_folder(folder))

    def appender(self, key: str) -> Appender:
        return QueuedAppender(self._appends, self.path(key))

    def stalled_s(self) -> float:
        return self._appends.stalled_s()

    def settle(self, timeout_s: float, folder: str = "") -> None:
        self._appends.settle(timeout_s)


def open_durable(document: JobDocument, environ: Mapping[str, str]) -> Durable:
    """The durable storage of a job. Raises ModuleNotFoundError where the image lacks the library for a bucket.

    `environ` is where a bucket's credentials are looked for first.
    """
    if "://" in document["durable"]:
        from ftsdk.runtime.storage.spool import DurableBucket

        return DurableBucket(document["durable"], document["storage"], environ, Path(document["scratch"], "spool"))
    scratch = Path(document["scratch"])
    scratch.mkdir(parents=True, exist_ok=True)
    return DurableFolder(document["durable"], scratch)
