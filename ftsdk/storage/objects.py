"""A Store in a bucket, seen from the launcher: the user's own credentials, errors as ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ftsdk.contract.documents import Storage
from ftsdk.errors import AuthError, BackendError, NotInstalledError, SpecError, UnavailableError
from ftsdk.runtime.storage.bucket import Bucket
from ftsdk.storage.store import ObjectInfo

PATIENCE_S = 60.0
"""How long a service that does not answer is asked again: a person waits."""


class ObjectStore:
    """Objects below an address such as `s3://bucket/prefix`."""

    poll_s = 2.0

    def __init__(self, uri: str, storage: Storage) -> None:
        self.uri = uri.rstrip("/")
        try:
            self._bucket = Bucket(self.uri, storage, os.environ, patience_s=PATIENCE_S)
        except ModuleNotFoundError:
            raise NotInstalledError(f"{uri} needs the extra `storage`: pip install 'ftsdk[storage]'.") from None
        except ValueError as problem:
            raise SpecError(f"{problem}.") from None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with _errors():
            for key, size in self._bucket.list(prefix.rpartition("/")[0]):
                if key.startswith(prefix):
                    yield ObjectInfo(key, size)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with _errors(key):
            return self._bucket.read(key, start, length)

    def put(self, key: str, data: bytes) -> None:
        with _errors():
            self._bucket.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with _errors():
            return self._bucket.create(key, data)

    def download(self, key: str, target: Path, on_bytes: Callable[[int], None] = lambda done: None) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".part-{target.name}")
        try:
            with _errors(key):
                self._bucket.fetch(key, part, on_bytes)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if there is none."""
        try:
            with _errors():
                return self._bucket.size(key)
        except KeyError:
            return None

    def delete(self, *keys: str) -> None:
        """Remove objects, as far as they are there."""
        with _errors():
            self._bucket.delete(list(keys))

    def upload(self, key: str, source: Path, on_bytes: Callable[[int], None] = lambda done: None) -> None:
        """Store a file whole or not at all."""
        with _errors():
            self._bucket.put_file(key, source, on_bytes, is_hashed=False)


@contextmanager
def _errors(key: str = "") -> Iterator[None]:
    """Storage's errors as ours; those of local files stay what they are."""
    try:
        yield
    except FileNotFoundError as problem:
        if problem.filename is not None:
            raise
        raise KeyError(key) from None
    except PermissionError as problem:
        if problem.filename is not None:
            raise
        raise AuthError(f"{problem.strerror}: check the credentials and what they may do there.") from problem
    except ConnectionError as problem:
        raise UnavailableError(f"{problem.strerror}: check the network and the endpoint, then try again.") from problem
    except OSError as problem:
        if problem.filename is not None or "bucket" not in str(problem):
            raise
        raise BackendError(f"{problem.strerror}.") from problem
