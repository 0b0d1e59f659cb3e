"""Storage in a folder: a bind mount, a shared file system, or a folder of this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from ftsdk.runtime.storage.base import ObjectInfo, OnBytes, StoredObject, ignore_bytes

CHUNK_BYTES = 1 << 20
TEMPORARY = ".put-"
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
"""Another file system, or one without hard links (FAT, some FUSE and SMB mounts): copy instead."""


NO_CLAIM = "there are no hard links, by which attempts are claimed: use a folder on another file system, or a bucket"


class FolderStore:
    """Objects as files. A write is a temporary file, fsync, rename, fsync of the folder: whole or not there."""

    poll_s = 0.5

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def path(self, key: str = "") -> Path:
        """The file of a key."""
        return self.root / PurePosixPath(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        keys = []
        for folder, _, names in os.walk(self.root / prefix.rpartition("/")[0]):
            inside = Path(folder).relative_to(self.root)
            keys += [(inside / name).as_posix() for name in names if not name.startswith(TEMPORARY)]
        for key in sorted(keys):
            if key.startswith(prefix):
                try:
                    status = self.path(key).stat()
                except FileNotFoundError:  # deleted since it was listed
                    continue
                if S_ISREG(status.st_mode):
                    yield ObjectInfo(key, status.st_size)

    def size(self, key: str) -> int:
        with _missing():
            return self.path(key).stat().st_size

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with _missing(), self.path(key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def put(self, key: str, data: bytes) -> None:
        with _temporary(self.path(key)) as temporary:
            _write(temporary, data)
            temporary.replace(self.path(key))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with _temporary(self.path(key)) as temporary:
            _write(temporary, data)
            try:
                self.path(key).hardlink_to(temporary)  # atomic with its content, unlike O_EXCL and a write
            except FileExistsError:
                return False
            except OSError as problem:
                if problem.errno in NO_LINK:
                    raise OSError(problem.errno, NO_CLAIM, str(self.root)) from None
                raise
        return True

    def put_file(self, key: str, source: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        with _temporary(self.path(key)) as temporary:
            stored = link_or_copy(source, temporary, on_bytes)
            temporary.replace(self.path(key))
        return stored

    def fetch(self, key: str, target: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _missing(), self.path(key).open("rb", buffering=0) as read, target.open("wb", buffering=0) as write:
            return digest(read.fileno(), write.fileno(), on_bytes)

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    def delete_folder(self, folder: str) -> None:
        delete_tree(self.path(folder))


class FileAppender:
    """A growing file: every write is visible to readers at once."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, data: bytes | memoryview) -> int:
        """Append; returns how many bytes are stored, at least one. Raises OSError if none could be."""
        return os.write(self._descriptor, data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def delete_tree(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there. Links are removed, not followed."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            delete_tree(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
    """Hard link where the file system can, else copy; either way read once for the digest and flushed to disk."""
    try:
        target.hardlink_to(source)
        is_linked = True
    except OSError as problem:
        if problem.errno not in NO_LINK:
            raise
        is_linked = False
    with source.open("rb", buffering=0) as read:
        if is_linked:
            os.fsync(read.fileno())
            return digest(read.fileno(), None, on_bytes)
        with target.open("xb", buffering=0) as write:
            stored = digest(read.fileno(), write.fileno(), on_bytes)
            os.fsync(write.fileno())
            return stored


def digest(read: int, write: int | None, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
    """Read a descriptor to its end, hashing, and copy it to `write` on the way."""
    from hashlib import sha256

    total, state = 0, sha256()
    while chunk := os.read(read, CHUNK_BYTES):
        state.update(chunk)
        total += len(chunk)
        rest = memoryview(chunk)
        while write is not None and rest:
            rest = rest[os.write(write, rest) :]
        on_bytes(len(chunk))
    return StoredObject(total, state.hexdigest())


def make_folder(folder: Path) -> None:
    """Make a folder so that it survives a power cut: its name is in the parent, which is flushed."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


@contextmanager
def _missing() -> Iterator[None]:
    """A key below a file is as missing as any other."""
    try:
        yield
    except NotADirectoryError as problem:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), problem.filename) from None


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A temporary name beside a target. It is removed at the end, then the folder is flushed."""
    make_folder(target.parent)
    temporary = target.with_name(f"{TEMPORARY}{target.name}-{os.urandom(4).hex()}")  # containers share process ids
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)
