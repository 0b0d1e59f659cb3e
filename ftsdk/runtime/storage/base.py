"""The storage interface of launcher and runtime: objects by key, in a folder or in a bucket."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ftsdk.runtime.retry import RetryPolicy

OnBytes = Callable[[int], None]
"""Called with the number of bytes just transferred; negative where a part has to be sent again."""
FINAL_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENOENT, errno.ENXIO}
    | {errno.EINVAL}  # a refusal of the service: 3xx and 4xx
)
"""Storage errors that a retry does not change."""
STORAGE_RETRY = RetryPolicy(
    max_pause_s=5.0,
    is_final=lambda problem: not isinstance(problem, OSError) or problem.errno in FINAL_ERRNOS,
)
"""For calls to durable storage that may be unavailable for a while; the caller sets the deadline."""


class ObjectInfo(NamedTuple):
    """One object of a listing."""

    key: str
    bytes: int


class StoredObject(NamedTuple):
    """Size and digest of what was stored or fetched, by which a later read is verified."""

    bytes: int
    sha256: str


def ignore_bytes(done: int) -> None:
    """The `OnBytes` of a caller that shows no progress."""


class ReadableStore(Protocol):
    """What a reader of log segments needs of a store."""

    poll_s: float
    """Shortest sensible interval between two looks for something new, in seconds."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with the prefix, in the order of their keys."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, from `start`, at most `length` of them."""


class Store(ReadableStore, Protocol):
    """Objects below one address. Keys are relative, with forward slashes.

    Errors are OSErrors; a missing object raises FileNotFoundError in `read`, `size` and `fetch`. Writes appear whole
    or not at all.
    """

    @property
    def uri(self) -> str:
        """Address of the folder, e.g. `file:///data/job` or `s3://bucket/job`."""

    def size(self, key: str) -> int:
        """Bytes of an object."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; True if this call wrote it."""

    def put_file(self, key: str, source: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        """Store a local file, which must not be written to afterwards: a folder may keep a hard link to it."""

    def fetch(self, key: str, target: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        """Copy an object to a local path. After an error, part of it may be there."""

    def delete(self, *keys: str) -> None:
        """Delete objects; missing ones are ignored."""

    def delete_folder(self, folder: str) -> None:
        """Delete every object below a folder, if there is one."""
