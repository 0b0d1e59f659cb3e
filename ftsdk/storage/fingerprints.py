"""SHA-256 fingerprints of files, cached by path, size and modification time so that no file is read twice."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ftsdk.errors import SpecError
from ftsdk.storage import cache

_CACHED_FROM_BYTES = 1 << 20
"""Smaller files are hashed each time, which is faster than a look-up in the cache."""

MAX_FILES = 2000


class Fingerprint(NamedTuple):
    """A local file and its content."""

    path: str
    """Absolute."""
    bytes: int
    sha256: str


def of(path: Path) -> Fingerprint:
    """Fingerprint of a file. Raises SpecError if it cannot be read."""
    try:
        status = path.stat()
        if status.st_size < _CACHED_FROM_BYTES:
            data = path.read_bytes()
            return Fingerprint(str(path), len(data), hashlib.sha256(data).hexdigest())
        cached = _read_cache(path, status.st_size, status.st_mtime_ns)
        digest = cached or _hash(path)
    except OSError as problem:
        raise SpecError(f"{path} cannot be read ({problem.strerror}); check the path and its permissions.") from problem
    if cached is None:
        _write_cache(path, status.st_size, status.st_mtime_ns, digest)
    return Fingerprint(str(path), status.st_size, digest)


def below(path: Path, what: str) -> tuple[Fingerprint, ...]:
    """Fingerprints of a file, or of all files below a folder. `what` names the setting in errors.

    Raises SpecError for more than MAX_FILES files, before any is read: the folder is `/` or a home by mistake.
    """
    if not path.is_dir():
        return (of(path),)
    files = list(islice((file for file in path.rglob("*") if file.is_file()), MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise SpecError(f"{what}: {path} holds more than {MAX_FILES} files; name the folder that the training needs.")
    return tuple(of(file) for file in sorted(files))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_cache(path: Path, size: int, mtime_ns: int) -> str | None:
    with contextlib.suppress(sqlite3.Error, OSError):  # a cache may fail; the hash is computed then
        query = "SELECT sha256 FROM file WHERE path = ? AND bytes = ? AND mtime_ns = ?"
        row = cache.database().execute(query, (str(path), size, mtime_ns)).fetchone()
        return str(row[0]) if row else None
    return None


def _write_cache(path: Path, size: int, mtime_ns: int, digest: str) -> None:
    with contextlib.suppress(sqlite3.Error, OSError):
        statement = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)"
        cache.database().execute(statement, (str(path), size, mtime_ns, digest))
