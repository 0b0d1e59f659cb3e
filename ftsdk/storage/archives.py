"""Packed models, such as SageMaker's `model.tar.gz`: streamed from a bucket, unpacked safely."""

from __future__ import annotations

import gzip
import io
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ftsdk.errors import DataError, FtsdkError, JobNotFoundError
from ftsdk.runtime.storage.base import OnBytes, Store, ignore_bytes
from ftsdk.storage.below import FolderWriter
from ftsdk.storage.store import open_store
from ftsdk.storage.tar import TarReader

PIECE_BYTES: Final = 8 << 20
KEPT_FREE_BYTES: Final = 1 << 30
"""An archive is refused if it would leave less than this on the disk."""
MAX_RATIO: Final = 50
EXPECTED_BYTES: Final = 1 << 30
"""Weights hardly shrink by packing: what grows to more than so many times its size and this many bytes is a bomb."""


def is_archive(address: str) -> bool:
    """Whether an address is that of a packed model."""
    return "://" in address and address.endswith((".tar.gz", ".tgz"))


def unpack(address: str, folder: Path | str, *, on_bytes: OnBytes = ignore_bytes) -> Path:
    """Unpack an archive in a bucket into a folder, in constant memory; returns the folder.

    Nothing is written outside the folder. Links, devices, sparse files, absolute names, `..`, names that Windows
    reads as something else, names that differ only in case, and more than the disk holds or MAX_RATIO allows are
    refused. `on_bytes` is called with the number of bytes just read.
    Raises JobNotFoundError if there is no such archive and DataError for one that is broken or refused.
    """
    folder_uri, _, key = address.rpartition("/")
    target = Path(folder)
    store = open_store(folder_uri)
    try:
        limit = EXPECTED_BYTES + MAX_RATIO * store.size(key)
        stream = io.BufferedReader(_ObjectStream(store, key, on_bytes), PIECE_BYTES)
        with gzip.GzipFile(fileobj=stream) as plain:
            _unpack(TarReader(plain), FolderWriter(target), target, limit)
    except FileNotFoundError:
        raise JobNotFoundError(f"There is no {address}.") from None
    except (ValueError, EOFError, zlib.error, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise FtsdkError(f"{target} cannot be written ({problem.strerror}).") from problem
        raise DataError(f"{address} cannot be unpacked ({problem}): it is broken, or made to do harm.") from problem
    return target


def _unpack(archive: TarReader, writer: FolderWriter, target: Path, limit: int) -> None:
    total = 0
    for member in archive:
        total += member.bytes
        if total > limit:
            raise ValueError(f"it grows to more than {MAX_RATIO} times its size")
        if member.bytes > max(0, shutil.disk_usage(target).free - KEPT_FREE_BYTES):
            raise ValueError(f"{member.name!r:.80} has {member.bytes} bytes and the disk has no room for them")
        if member.is_folder:
            writer.make_folder(member.name)
        else:
            writer.write(member.name, archive.pieces())


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
