"""Objects in a bucket: s3:// and what speaks its protocol, oss:// and gs://, all through the library `obstore`.

obstore is Rust's object_store in one wheel. It signs whole payloads (OSS refuses aws-chunked bodies), finds the
credentials of ECS, EKS, SageMaker and EC2 by itself, and tries again after 5xx, throttling and cut connections.
The launcher's store and the runtime's durable storage both stand on this.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ftsdk.contract.documents import Storage
from ftsdk.runtime.storage.durable import Written

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PIECE_BYTES = 8 << 20
"""One part of an upload, one range of a download. Larger files have larger parts: S3 allows 10,000 of them."""
MOST_PARTS = 9_000
PARALLEL = 12
"""Parts or ranges of a file on their way at once. S3 gives each connection about 85 MB/s (Amazon S3 user guide,
"Performance design patterns"); boto3 takes 10."""
TRY_S = 150.0
"""How long obstore itself repeats one request; it signs once, so that must stay below five minutes (its own docs)."""
REQUEST_S = 300
PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 10.0
INSTANCE = "169.254.169.254"
"""Where an EC2 instance's role is asked for: the last place, so what fails there says that there are no credentials."""
EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")


class Connection(NamedTuple):
    """A bucket in obstore's words."""

    store: ObjectStore
    create: ObjectStore
    """The same, repeating nothing: for `Bucket.create`, which must know whether its first try came through."""
    create_mode: str | None
    """What makes a put fail if the object exists; None where a header of `create` does."""


class Bucket:
    """Objects below an address. Keys are relative. Every error is an OSError; FileNotFoundError only for objects.

    Args:
        address: `s3://bucket/prefix`, `oss://…` or `gs://…`.
        storage: how to reach it.
        environ: where credentials are looked for first.
        patience_s: how long writes are repeated while the service does not answer.
    """

    def __init__(self, address: str, storage: Storage, environ: Mapping[str, str], *, patience_s: float) -> None:
        from ftsdk.runtime.storage import connect

        self.address = address.rstrip("/")
        self._patience_s = patience_s
        with self._errors(""):
            self._connection = connect.connect(self.address, storage, environ, min(patience_s, TRY_S))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, from `start`, at most `length` of them."""
        import obstore

        if length == 0:
            return b""
        options: Any = None
        if length is not None:
            options = {"range": (start, start + length)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            with self._errors(key):
                return bytes(obstore.get(self._connection.store, key, options=options).bytes())
        except BehindTheEndError:
            return b""

    def size(self, key: str) -> int:
        """Bytes of an object."""
        import obstore

        with self._errors(key):
            return int(obstore.head(self._connection.store, key)["size"])

    def list(self, folder: str) -> Iterator[tuple[str, int]]:
        """(key, bytes) of every object below a folder, in the order of their keys."""
        import obstore

        with self._errors(folder):
            for chunk in obstore.list(self._connection.store, folder.strip("/")):
                for item in chunk:
                    yield item["path"], int(item["size"])

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        import obstore

        found = list(keys)
        try:
            with self._errors(", ".join(found[:1])):
                obstore.delete(self._connection.store, found)
        except FileNotFoundError:
            pass

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole or not at all."""
        import obstore

        self._insist(key, lambda: obstore.put(self._connection.store, key, data, use_multipart=False))

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; True if this call wrote it."""
        import obstore

        unsure = False  # an earlier try of ours may have come through without our hearing of it
        for pause_s in self._pauses():
            try:
                with self._errors(key, writes=True):
                    obstore.put(
                        self._connection.create, key, data, mode=self._connection.create_mode, use_multipart=False
                    )
                return True
            except FileExistsError:
                try:
                    return unsure and self.read(key) == data
                except FileNotFoundError:
                    continue  # S3 answers 409 too while the object is just being deleted
            except ConnectionError:
                unsure = True
                if pause_s is None:
                    raise
                time.sleep(pause_s)
        raise AssertionError("the last pause is None")

    def put_file(
        self, key: str, source: Path, on_bytes: Callable[[int], None] = lambda done: None, *, is_hashed: bool = True
    ) -> Written:
        """Store a file, in parts sent side by side if it is large; its size is checked afterwards.

        It is hashed while it is read, unless whoever calls knows its digest already (`sha256` stays empty then).
        """
        import obstore

        size = source.stat().st_size
        part = max(PIECE_BYTES, -(-size // MOST_PARTS))
        written = Written(0, "")

        def send() -> None:
            nonlocal written
            with source.open("rb") as file:
                reading = _Reading(file, part, on_bytes, is_hashed=is_hashed)
                try:
                    if size <= part:
                        obstore.put(self._connection.store, key, b"".join(reading), use_multipart=False)
                    else:
                        obstore.put(self._connection.store, key, reading, chunk_size=part, max_concurrency=PARALLEL)
                except Exception:
                    on_bytes(-reading.total)
                    raise
                written = reading.written()

        self._insist(key, send)
        if (stored := self.size(key)) != written.bytes:
            raise OSError(errno.EIO, f"{self.address}/{key} has {stored} bytes, {written.bytes} were sent")
        return written

    def fetch(self, key: str, target: Path, on_bytes: Callable[[int], None] = lambda done: None) -> Written:
        """Bring an object to a local path in ranges read side by side; hashed on the way."""
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
        return Written(total, state.hexdigest())

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

    def _insist(self, key: str, write: Callable[[], object]) -> None:
        """Write, again and again while the service does not answer, until patience ends."""
        for pause_s in self._pauses():
            try:
                with self._errors(key, writes=True):
                    write()
                return
            except ConnectionError:
                if pause_s is None:
                    raise
                time.sleep(pause_s)

    def _pauses(self) -> Iterator[float | None]:
        """Ever longer pauses, and None once patience has ended."""
        ends, pause_s = time.monotonic() + self._patience_s, PAUSE_MIN_S
        while time.monotonic() < ends:
            yield pause_s
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
        yield None

    @contextmanager
    def _errors(self, key: str, *, writes: bool = False) -> Iterator[None]:
        """obstore's errors as OSErrors of one sentence."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        where = f"{self.address}/{key}".rstrip("/")
        try:
            yield
        except AlreadyExistsError:
            raise FileExistsError(errno.EEXIST, f"{where} is there already") from None
        except FileNotFoundError as problem:
            if writes or "NoSuchBucket" in str(problem):
                raise OSError(errno.ENXIO, f"the bucket of {where} does not exist") from None
            raise FileNotFoundError(errno.ENOENT, f"{where} does not exist") from None
        except BaseError as problem:
            raise _os_error(where, problem) from problem


class BehindTheEndError(OSError):
    """A range was asked for that starts where the object ends, or behind."""


class _Reading:
    """A file's bytes in pieces, hashed as they go by."""

    def __init__(self, file: IO[bytes], piece_bytes: int, on_bytes: Callable[[int], None], *, is_hashed: bool) -> None:
        from hashlib import sha256

        self._file, self._piece_bytes, self._on_bytes = file, piece_bytes, on_bytes
        self._state, self.total = sha256() if is_hashed else None, 0

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(self._piece_bytes):
            if self._state:
                self._state.update(piece)
            self.total += len(piece)
            yield piece
            self._on_bytes(len(piece))

    def written(self) -> Written:
        return Written(self.total, self._state.hexdigest() if self._state else "")


def _os_error(where: str, problem: Exception) -> OSError:
    """From the text: obstore's classes tell few kinds apart."""
    text = str(problem)
    status = next(map(int, re.findall(r"status code: (\d{3})", text)), 0)
    code = next(iter(re.findall(r"<Code>(\w+)</Code>", text)), "")
    said = " ".join(filter(None, (str(status or ""), code))) or _first_line(text)
    if "NoSuchBucket" in text:
        return OSError(errno.ENXIO, f"the bucket of {where} does not exist")
    if status == 416:
        return BehindTheEndError(errno.EINVAL, f"{where} ends before")
    if INSTANCE in text or (not status and ("AccessKeyId" in said or "redential" in said)):
        return PermissionError(errno.EACCES, f"{where}: no credentials were found")
    if status in (401, 403) or code in EXPIRED:
        return PermissionError(errno.EACCES, f"{where}: access was refused ({said})")
    if status == 0 or status in (408, 429) or status >= 500:
        return ConnectionError(errno.EIO, f"{where} does not answer ({said})")
    return OSError(errno.EIO, f"{where}: {said}")


def _first_line(text: str) -> str:
    """The cause at the end of obstore's first line, without its dump of the source."""
    line = text.split("\n", 1)[0].strip()
    return line.rpartition(" - ")[2][:200].strip() or line[:200]
