"""Durable storage in a bucket: the runtime itself puts objects and waits for the acknowledgement.

Objects cannot grow. A log segment is written to a local file first; a thread puts it again, whole, every few seconds
while lines come, and starts the next one at `segment_bytes`, so readers see a segment grow and requests stay few.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from ftsdk.contract.documents import Storage
from ftsdk.runtime.storage.bucket import Bucket
from ftsdk.runtime.storage.durable import Written
from ftsdk.runtime.storage.mount import MountAppender, delete_tree

PATIENCE_S = 600.0
"""How long a write is repeated while the service does not answer."""
SHIP_EVERY_S = 3.0


class Object:
    """Objects below an address such as `s3://bucket/prefix`."""

    segment_bytes = 1 << 20
    lines_apart = 1_000_000_000

    def __init__(self, address: str, storage: Storage, environ: Mapping[str, str], spool: Path) -> None:
        self._bucket = Bucket(address, storage, environ, patience_s=PATIENCE_S)
        self._shipper = Shipper(self._bucket, spool)

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if if_absent:
            return self._bucket.create(key, data)
        self._bucket.put(key, data)
        return True

    def put_file(self, key: str, source: Path) -> Written:
        return self._bucket.put_file(key, source)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._bucket.read(key, start, length)

    def fetch(self, key: str, target: Path) -> Written:
        return self._bucket.fetch(key, target)

    def list(self, prefix: str) -> list[str]:
        return sorted(key for key, _ in self._bucket.list(prefix))

    def delete(self, prefix: str) -> None:
        self._bucket.delete(self.list(prefix) or [prefix])

    def appender(self, key: str) -> MountAppender:
        return self._shipper.open(key)

    def settle(self, patience_s: float) -> None:
        self._shipper.settle(patience_s)


class Shipper:
    """Brings growing local files to a bucket, the oldest first: a segment is complete before the next one appears."""

    def __init__(self, bucket: Bucket, spool: Path) -> None:
        self._bucket, self._spool = bucket, spool
        self._condition = threading.Condition()
        self._segments: list[Segment] = []
        self._hurry = False

    def open(self, key: str) -> MountAppender:
        """A local file to append to; the newest one may be opened again."""
        with self._condition:
            if not self._segments:
                delete_tree(self._spool)
                self._spool.mkdir(parents=True)
                threading.Thread(target=self._run, daemon=True).start()
            if not self._segments or self._segments[-1].key != key:
                self._segments.append(Segment(key, self._spool / key.replace("/", "_")))
            return MountAppender(self._segments[-1].path)

    def settle(self, patience_s: float) -> None:
        """Wait until everything is in the bucket, or patience ends."""
        with self._condition:
            self._hurry = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: all(segment.is_shipped for segment in self._segments), patience_s)

    def _run(self) -> None:
        while True:
            next_at = time.monotonic() + SHIP_EVERY_S
            with contextlib.suppress(OSError):  # the bucket does not take it now: the next round tries again
                while self._ship_oldest():
                    pass
            with self._condition:
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._hurry, next_at - time.monotonic())
                self._hurry = False

    def _ship_oldest(self) -> bool:
        """Bring the oldest segment up to date; True if it is complete and there is a next one."""
        with self._condition:
            segment, is_complete = self._segments[0], len(self._segments) > 1
        if not segment.is_shipped:
            data = segment.path.read_bytes()
            self._bucket.put(segment.key, data)
            segment.shipped_bytes = len(data)
        if is_complete:
            with self._condition:
                self._segments.pop(0)
            segment.path.unlink()
        return is_complete


class Segment:
    """A log segment on its way."""

    def __init__(self, key: str, path: Path) -> None:
        self.key, self.path = key, path
        self.shipped_bytes = 0

    @property
    def is_shipped(self) -> bool:
        """Whether the bucket has all that is in the file now."""
        return self.shipped_bytes == self.path.stat().st_size
