"""Durable storage in a folder: a bind mount, a shared file system, or a folder of this machine."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ftsdk.runtime.storage.durable import Written

CHUNK_BYTES = 1 << 20
TEMPORARY = ".put-"
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES)
"""Another file system, or one without hard links (FAT, some FUSE and SMB mounts): copy instead."""


class Mount:
    """Objects as files. A write is a temporary file, fsync, rename, fsync of the folder: whole or not there."""

    segment_bytes = 64 << 20
    lines_apart = 0

    def __init__(self, root: Path) -> None:
        self.root = root

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        target = self.root / key
        temporary = _temporary(target)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if not if_absent:
                temporary.replace(target)
            elif not _linked(temporary, target):
                return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return True

    def put_file(self, key: str, source: Path) -> Written:
        target = self.root / key
        temporary = _temporary(target)
        try:
            written = link_or_copy(source, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return written

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with (self.root / key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def fetch(self, key: str, target: Path) -> Written:
        target.parent.mkdir(parents=True, exist_ok=True)
        return link_or_copy(self.root / key, target)

    def list(self, prefix: str) -> list[str]:
        found = []
        for folder, _, names in os.walk(self.root / prefix):
            inside = Path(folder).relative_to(self.root).as_posix()
            found += [f"{inside}/{name}" for name in names if not name.startswith(TEMPORARY)]
        return sorted(found)

    def delete(self, prefix: str) -> None:
        delete_tree(self.root / prefix)

    def appender(self, key: str) -> MountAppender:
        target = self.root / key
        _make_folder(target.parent)
        return MountAppender(target)

    def settle(self, patience_s: float) -> None:
        """Every write is stored at once."""


class MountAppender:
    """A growing file: every write is visible to readers at once."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, data: bytes | memoryview) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        os.close(self._descriptor)


def delete_tree(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there. Links are removed, not followed."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            delete_tree(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> Written:
    """Hard link where the file system can, else copy; either way read once for the digest and flushed to disk."""
    try:
        target.hardlink_to(source)
        linked = True
    except OSError as problem:
        if problem.errno not in NO_LINK:
            raise
        linked = False
    with source.open("rb", buffering=0) as read:
        if linked:
            os.fsync(read.fileno())
            return digest(read.fileno(), None)
        with target.open("xb", buffering=0) as write:
            written = digest(read.fileno(), write.fileno())
            os.fsync(write.fileno())
            return written


def digest(read: int, write: int | None) -> Written:
    """Read a descriptor to its end, hashing, and copy it to `write` on the way."""
    from hashlib import sha256

    total, state = 0, sha256()
    while chunk := os.read(read, CHUNK_BYTES):
        state.update(chunk)
        total += len(chunk)
        rest = memoryview(chunk)
        while write is not None and rest:
            rest = rest[os.write(write, rest) :]
    return Written(total, state.hexdigest())


def _linked(source: Path, target: Path) -> bool:
    """Give a file another name unless that is taken: unlike O_EXCL, with the content in place."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return False
    return True


def _temporary(target: Path) -> Path:
    _make_folder(target.parent)
    return target.with_name(f"{TEMPORARY}{target.name}-{os.urandom(4).hex()}")  # in containers everybody is PID 1


def _make_folder(folder: Path) -> None:
    """Make a folder so that it survives a power cut: its name is in the parent, which is flushed."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)
