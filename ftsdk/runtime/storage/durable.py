"""Durable storage of a job, as the supervisor needs it: `mount` is a folder, `object` is a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from ftsdk.contract.documents import JobDocument


class Written(NamedTuple):
    """What was stored or fetched: enough to prove later that it is still the same."""

    bytes: int
    sha256: str


class Appender(Protocol):
    """One object that grows at its end."""

    def write(self, data: bytes | memoryview) -> int:
        """Append; returns how many bytes are stored, at least one. Raises OSError if none could be."""

    def close(self) -> None:
        """Make what was written last."""


class Durable(Protocol):
    """A folder that outlives the attempt. Keys are relative, with forward slashes; OSError where storage fails."""

    segment_bytes: int
    """Size at which a log segment had better end and the next one begin."""
    lines_apart: int
    """So far behind an earlier start's lines those of the next one are numbered: more than a start that is killed can
    have said that its segments do not have. What shows these lines all the same can put them where they belong."""

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write an object whole or not at all; False if `if_absent` and there was one."""

    def put_file(self, key: str, source: Path) -> Written:
        """Store a local file whole or not at all. The source must not be written to afterwards."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length` of them. Raises FileNotFoundError."""

    def fetch(self, key: str, target: Path) -> Written:
        """Bring an object to a new local path, for reading only. Raises FileNotFoundError."""

    def list(self, prefix: str) -> list[str]:
        """All keys below the folder `prefix`, sorted."""

    def delete(self, prefix: str) -> None:
        """Remove an object or a whole folder; nothing happens if there is none."""

    def appender(self, key: str) -> Appender:
        """Open a new object, or again the one that was opened last, for appending."""

    def settle(self, patience_s: float) -> None:
        """Wait until all that was appended is stored, at most so many seconds."""


def open_durable(document: JobDocument, environ: Mapping[str, str]) -> Durable:
    """The durable storage of a job. Raises ModuleNotFoundError where the image lacks the library for a bucket.

    `environ` is where a bucket's credentials are looked for first.
    """
    if "://" in document["durable"]:
        from ftsdk.runtime.storage.object import Object

        return Object(document["durable"], document["storage"], environ, Path(document["scratch"], "spool"))
    from ftsdk.runtime.storage.mount import Mount

    return Mount(Path(document["durable"]).absolute())
