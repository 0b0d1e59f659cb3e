"""Objects in a durable folder, by key: on this machine or in a bucket (s3://, oss://, gs://)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from ftsdk.contract.documents import Storage
from ftsdk.errors import UnsupportedError

BUCKET_SCHEMES = ("s3", "oss", "gs")


class ObjectInfo(NamedTuple):
    """One object below a prefix."""

    key: str
    bytes: int


class Store(Protocol):
    """What ftsdk asks of any storage. Keys are relative, with forward slashes; missing keys raise KeyError."""

    poll_s: float
    """How often it is worth looking for something new, at most."""

    @property
    def uri(self) -> str:
        """Address of the folder, e.g. `file:///data/job` or `s3://bucket/job`."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with the prefix, in the order of their keys."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, from `start`, at most `length` of them."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole or not at all."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; True if this call wrote it."""

    def download(self, key: str, target: Path, on_bytes: Callable[[int], None] = lambda done: None) -> None:
        """Copy an object to a local file; `on_bytes` hears how many more bytes are there."""


class FolderStore:
    """A Store over a folder that this machine can see."""

    poll_s = 0.5

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def path(self, key: str = "") -> Path:
        """The file behind a key."""
        return self.root / PurePosixPath(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        folder = self.path(prefix if prefix.endswith("/") else str(PurePosixPath(prefix).parent))
        for path in sorted(folder.rglob("*")):
            key = path.relative_to(self.root).as_posix()
            if key.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):  # deleted while we look
                    if path.is_file():
                        yield ObjectInfo(key, path.stat().st_size)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        try:
            with self.path(key).open("rb") as file:
                file.seek(start)
                return file.read() if length is None else file.read(length)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(key) from None

    def put(self, key: str, data: bytes) -> None:
        self._temporary(key, data).replace(self.path(key))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        temporary = self._temporary(key, data)
        try:
            os.link(temporary, self.path(key))  # atomic, with the content in place, unlike O_EXCL and a write
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def download(self, key: str, target: Path, on_bytes: Callable[[int], None] = lambda done: None) -> None:
        import shutil

        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(self.path(key), target)
        except FileNotFoundError:
            raise KeyError(key) from None
        on_bytes(target.stat().st_size)

    def _temporary(self, key: str, data: bytes) -> Path:
        folder = self.path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".put-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return Path(name)


def open_store(uri: str, storage: Storage | None = None) -> Store:
    """The store at an address. No request is made yet.

    Args:
        uri: a folder, `file://…`, or a bucket's `s3://…`, `oss://…`, `gs://…`.
        storage: how to reach a bucket; what it does not say comes from the environment (AWS_ENDPOINT_URL,
            AWS_REGION, OSS_REGION …). Credentials are found as each cloud's own tools find them.

    Raises UnsupportedError for a scheme that nothing serves and NotInstalledError without the extra `storage`.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        from urllib.request import url2pathname

        return FolderStore(url2pathname(parts.path))
    if "://" not in uri:
        return FolderStore(uri)
    if parts.scheme in BUCKET_SCHEMES:
        from ftsdk.storage.objects import ObjectStore

        return ObjectStore(uri, storage or {})
    raise UnsupportedError(
        f"Storage {parts.scheme}:// is not supported; use a folder, {', '.join(f'{s}://' for s in BUCKET_SCHEMES)}."
    )
