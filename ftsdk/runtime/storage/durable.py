"""Durable storage of a job: a store to which log segments can be appended, and how to open it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.storage.base import OnBytes, Store, StoredObject, ignore_bytes
from ftsdk.runtime.storage.folder import FileAppender, FolderStore, link_or_copy


class Durable(Store, Protocol):
    """A store that outlives the attempt. What `fetch` brings is for reading only: it may be a hard link."""

    segment_bytes: int
    """Size at which a log segment should end and the next one begin."""
    lines_apart: int
    """Distance between the line numbers of two starts of one attempt. It exceeds the number of lines that a killed
    start may have written to other places without storing them, so their numbers do not collide."""

    def appender(self, key: str) -> FileAppender:
        """Open a new object, or again the one that was opened last, for appending."""

    def settle(self, timeout_s: float) -> None:
        """Wait until all that was appended is stored, at most so many seconds."""


class DurableFolder(FolderStore):
    """Durable storage in a folder: what is appended is stored at once."""

    segment_bytes = 64 << 20
    lines_apart = 0

    def fetch(self, key: str, target: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        target.parent.mkdir(parents=True, exist_ok=True)
        return link_or_copy(self.path(key), target, on_bytes)

    def appender(self, key: str) -> FileAppender:
        return FileAppender(self.path(key))

    def settle(self, timeout_s: float) -> None:
        """Every write is stored at once."""


def open_durable(document: JobDocument, environ: Mapping[str, str]) -> Durable:
    """The durable storage of a job. Raises ModuleNotFoundError where the image lacks the library for a bucket.

    `environ` is where a bucket's credentials are looked for first.
    """
    if "://" in document["durable"]:
        from ftsdk.runtime.storage.spool import DurableBucket

        return DurableBucket(document["durable"], document["storage"], environ, Path(document["scratch"], "spool"))
    return DurableFolder(document["durable"])
