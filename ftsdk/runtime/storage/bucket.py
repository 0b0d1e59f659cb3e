"""Storage in a bucket: s3:// and what speaks its protocol, oss:// and gs://, all through the library `obstore`.

obstore is Rust's object_store in one wheel. It signs whole payloads (OSS refuses aws-chunked bodies), finds the
credentials of ECS, EKS, SageMaker and EC2 by itself, and repeats requests after 5xx, throttling and cut connections.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, TypeVar

from ftsdk.contract.documents import Storage
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.storage.base import ObjectInfo, OnBytes, StoredObject, ignore_bytes
from ftsdk.runtime.storage.connection import connect
from ftsdk.runtime.storage.credentials import UNAVAILABLE
from ftsdk.runtime.storage.oss_api import ServiceError

Result = TypeVar("Result")

PIECE_BYTES = 8 << 20
"""One part of an upload, one range of a download. Larger files have larger parts: S3 allows 10,000 of them."""
MOST_PARTS = 9_000
PARALLEL = 12
"""Parts or ranges of a file on their way at once. S3 gives each connection about 85 MB/s (Amazon S3 user guide,
"Performance design patterns"); boto3 takes 10."""
REDIRECTED = "Received redirect without LOCATION"
"""What obstore makes of S3's 301 for a bucket of another region."""
EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "SecurityTokenExpired")


class BucketStore:
    """Objects below an address. Error messages are one sentence with the object's address.

    A service that does not answer raises ConnectionError, a refusal PermissionError, a missing bucket OSError (ENXIO).

    Args:
        uri: `s3://bucket/prefix`, `oss://…` or `gs://…`.
        storage: how to reach it.
        environ: where credentials are looked for first.
        retry_s: how long a call is repeated while the service does not answer.

    Raises ValueError for another scheme and ModuleNotFoundError without obstore. No request is made yet.
    """

    poll_s = 2.0

    def __init__(self, uri: str, storage: Storage, environ: Mapping[str, str], *, retry_s: float) -> None:
        self.uri = uri.rstrip("/")
        self._retry = RetryPolicy(deadline_s=retry_s, is_final=lambda problem: not isinstance(problem, ConnectionError))
        with self._errors(""):
            self._connection = connect(self.uri, storage, environ, self._retry)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        import obstore

        if length == 0:
            return b""
        options: object = None
        if length is not None:
            options = {"range": (start, start + length)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            return self._call(key, lambda: bytes(obstore.get(self._connection.store, key, options=options).bytes()))
        except RangeError:
            return b""

    def size(self, key: str) -> int:
        import obstore

        return self._call(key, lambda: int(obstore.head(self._connection.store, key)["size"]))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        import obstore

        folder = prefix.rpartition("/")[0].strip("/")
        for chunk in self._call(folder, lambda: list(obstore.list(self._connection.store, folder))):
            for item in chunk:
                if item["path"].startswith(prefix):
                    yield ObjectInfo(item["path"], int(item["size"]))

    def delete(self, *keys: str) -> None:
        import obstore

        with suppress(FileNotFoundError):
            self._call(", ".join(keys[:1]), lambda: obstore.delete(self._connection.store, list(keys)))

    def delete_folder(self, folder: str) -> None:
        self.delete(*(item.key for item in self.list(f"{folder}/" if folder else "")))

    def put(self, key: str, data: bytes) -> None:
        import obstore

        self._call(key, lambda: obstore.put(self._connection.store, key, data, use_multipart=False), writes=True)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        is_unsure = False  # an earlier attempt may have been stored although its response was lost

        def create() -> bool:
            nonlocal is_unsure
            try:
                with self._errors(key, writes=True):
                    self._connection.create(key, data)
            except FileExistsError:
                return is_unsure and self._read_existing(key) == data
            except ConnectionError:
                is_unsure = True
                raise
            return True

        return self._retry.call(create)

    def _read_existing(self, key: str) -> bytes:
        try:
            return self.read(key)
        except FileNotFoundError:  # S3 also answers 409 while the object is just being deleted
            raise ConnectionError(errno.EIO, f"{self.uri}/{key} is being deleted") from None

    def put_file(self, key: str, source: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        import obstore

        size = source.stat().st_size
        part = max(PIECE_BYTES, -(-size // MOST_PARTS))

        def send() -> StoredObject:
            with source.open("rb") as file:
                reader = _HashingReader(file, part, on_bytes)
                try:
                    if size <= part:
                        obstore.put(self._connection.store, key, b"".join(reader), use_multipart=False)
                    else:
                        obstore.put(self._connection.store, key, reader, chunk_size=part, max_concurrency=PARALLEL)
                except Exception:
                    on_bytes(-reader.total)
                    raise
                return reader.stored()

        stored = self._call(key, send, writes=True)
        if (actual_bytes := self.size(key)) != stored.bytes:
            raise OSError(errno.EIO, f"{self.uri}/{key} has {actual_bytes} bytes, {stored.bytes} were sent")
        return stored

    def fetch(self, key: str, target: Path, on_bytes: OnBytes = ignore_bytes) -> StoredObject:
        from hashlib import sha256

        total, state = 0, sha256()
        size = self.size(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for piece in self._pieces(key, size):
                file.write(piece)
                state.update(piece)
                total += len(piece)
                on_bytes(len(piece))
        return StoredObject(total, state.hexdigest())

    def _pieces(self, key: str, size: int) -> Iterator[bytes]:
        if size <= PIECE_BYTES:
            yield self.read(key)
            return
        starts = iter(range(0, size, PIECE_BYTES))
        with ThreadPoolExecutor(PARALLEL) as pool:
            ahead = [pool.submit(self.read, key, start, PIECE_BYTES) for start in islice(starts, PARALLEL)]
            while ahead:
                yield ahead.pop(0).result()
                ahead += [pool.submit(self.read, key, start, PIECE_BYTES) for start in islice(starts, 1)]

    def _call(self, key: str, request: Callable[[], Result], *, writes: bool = False) -> Result:
        def attempt() -> Result:
            with self._errors(key, writes=writes):
                return request()

        return self._retry.call(attempt)

    @contextmanager
    def _errors(self, key: str, *, writes: bool = False) -> Iterator[None]:
        """obstore's errors as OSErrors of one sentence."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        where = f"{self.uri}/{key}".rstrip("/")
        try:
            yield
        except (AlreadyExistsError, FileExistsError):
            raise FileExistsError(errno.EEXIST, f"{where} exists already") from None
        except FileNotFoundError as problem:
            if writes or "NoSuchBucket" in str(problem):
                raise OSError(errno.ENXIO, f"the bucket of {where} does not exist") from None
            raise FileNotFoundError(errno.ENOENT, f"{where} does not exist") from None
        except (BaseError, ServiceError) as problem:
            error = _os_error(where, problem)
            if isinstance(error, ExpiredKeysError) and (keys := self._connection.credentials) and keys.expire():
                error = ConnectionError(errno.EACCES, str(error))
            raise error from problem


class RangeError(OSError):
    """The requested range starts at the end of the object or behind it."""


class ExpiredKeysError(PermissionError):
    """The service calls the keys expired."""


class _HashingReader:
    """A file's bytes in pieces, hashed as they are read."""

    def __init__(self, file: IO[bytes], piece_bytes: int, on_bytes: OnBytes) -> None:
        from hashlib import sha256

        self._file, self._piece_bytes, self._on_bytes = file, piece_bytes, on_bytes
        self._state, self.total = sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(self._piece_bytes):
            self._state.update(piece)
            self.total += len(piece)
            yield piece
            self._on_bytes(len(piece))

    def stored(self) -> StoredObject:
        """What was read so far."""
        return StoredObject(self.total, self._state.hexdigest())


def _os_error(where: str, problem: Exception) -> OSError:
    """From the text: obstore has classes for few kinds."""
    text = str(problem)
    if isinstance(problem, ServiceError):
        status, code = problem.status, problem.code
    else:
        status = next(map(int, re.findall(r"status code: (\d{3})", text)), 0)
        code = next(iter(re.findall(r"<Code>(\w+)</Code>", text)), "")
    cause = " ".join(filter(None, (str(status or ""), code))) or _first_line(text)
    if "NoSuchBucket" in text:
        return OSError(errno.ENXIO, f"the bucket of {where} does not exist")
    if REDIRECTED in text or 300 <= status < 400:
        return OSError(errno.ENXIO, f"the bucket of {where} is in another region")
    if status == 416:
        return RangeError(errno.EINVAL, f"{where} ends before")
    if UNAVAILABLE in text:
        return ConnectionError(errno.EIO, f"{where} cannot be reached: {UNAVAILABLE}")
    if not status and ("AccessKeyId" in cause or "redential" in cause):
        return PermissionError(errno.EACCES, f"{where}: no credentials were found")
    if code in EXPIRED or (status == 400 and not code):  # the answer to a HEAD has no body
        return ExpiredKeysError(errno.EACCES, f"{where}: access was refused ({cause})")
    if status in (401, 403):
        return PermissionError(errno.EACCES, f"{where}: access was refused ({cause})")
    if status == 0 or status in (408, 429) or status >= 500:
        return ConnectionError(errno.EIO, f"{where} does not answer ({cause})")
    return OSError(errno.EINVAL, f"{where}: {cause}")


def _first_line(text: str) -> str:
    """The cause at the end of obstore's first line, without its dump of the source."""
    line = text.split("\n", 1)[0].strip()
    return line.rpartition(" - ")[2][:200].strip() or line[:200]
