"""Packed models, such as SageMaker's `model.tar.gz`: streamed from a bucket, unpacked safely."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ftsdk.errors import DataError, FtsdkError, JobNotFoundError
from ftsdk.runtime.storage.base import OnBytes, Store, ignore_bytes
from ftsdk.storage.store import open_store

PIECE_BYTES: Final = 8 << 20
KEPT_FREE_BYTES: Final = 1 << 30
"""An archive is refused if it would leave less than this on the disk."""


def is_archive(address: str) -> bool:
    """Whether an address is that of a packed model."""
    return "://" in address and address.endswith((".tar.gz", ".tgz"))


def unpack(address: str, folder: Path | str, *, on_bytes: OnBytes = ignore_bytes) -> Path:
    """Unpack an archive in a bucket into a folder, in constant memory; returns the folder.

    Nothing is written outside the folder: absolute names, `..`, links that lead out and devices are refused, and so
    is more than the disk holds. `on_bytes` is called with the number of bytes just read.
    Raises JobNotFoundError if there is no such archive and DataError for one that is broken or refused.
    """
    folder_uri, _, key = address.rpartition("/")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    stream = io.BufferedReader(_ObjectStream(open_store(folder_uri), key, on_bytes), PIECE_BYTES)
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as archive:
            for member in archive:
                _extract(archive, member, target)
    except FileNotFoundError:
        raise JobNotFoundError(f"There is no {address}.") from None
    except (tarfile.TarError, EOFError, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise FtsdkError(f"{target} cannot be written ({problem.strerror}).") from problem
        raise DataError(f"{address} cannot be unpacked ({problem}): it is broken, or made to do harm.") from problem
    return target


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if member.size > max(0, shutil.disk_usage(target).free - KEPT_FREE_BYTES):
        raise tarfile.TarError(f"{member.name} has {member.size} bytes and the disk has no room for them")
    archive.extract(member, target, filter="data")
    path = target / member.name
    if member.isreg() and path.stat().st_size != member.size:
        raise tarfile.TarError(f"{member.name} should have {member.size} bytes and has {path.stat().st_size}")


class _ObjectStream(io.RawIOBase):
    """An object as a file that is read once from its start to its end."""

    def __init__(self, store: Store, key: str, on_bytes: OnBytes) -> None:
        self._pieces = self._read(store, key, on_bytes)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._rest = self._rest or next(self._pieces, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    @staticmethod
    def _read(store: Store, key: str, on_bytes: OnBytes) -> Iterator[bytes]:
        for start in range(0, store.size(key), PIECE_BYTES):
            piece = store.read(key, start, PIECE_BYTES)
            on_bytes(len(piece))
            yield piece
