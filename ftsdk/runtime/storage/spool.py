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

from ftsdk import contract
from ftsdk.contract.documents import Storage
from ftsdk.runtime.storage.base import Store
from ftsdk.runtime.storage.bucket import BucketStore
from ftsdk.runtime.storage.folder import FileAppender, delete_tree
from ftsdk.runtime.storage.waiting import timed_out

RETRY_S = 600.0
"""How long a write is repeated while the service does not answer."""
SHIP_EVERY_S, SLOW_S = 3.0, 10.0
"""How often segments are put, and how long an answer may take until the bucket counts as not answering."""
MAX_SEGMENTS = 1024
"""Bounds a spool, with `segment_bytes`, to 1 GiB."""


class DurableBucket(BucketStore):
    """Objects below an address such as `s3://bucket/prefix`, and log segments that are spooled on local disk."""

    segment_bytes = 1 << 20
    lines_apart = 1_000_000_000

    def __init__(self, uri: str, storage: Storage, environ: Mapping[str, str], spool: Path) -> None:
        super().__init__(uri, storage, environ, retry_s=RETRY_S)
        self._shippers = {name: SegmentShipper(self, spool / name) for name in (contract.LOGS_DIR, contract.EVENTS_DIR)}

    def appender(self, key: str) -> FileAppender:
        return self._shippers[key.partition("/")[0]].open(key)

    def stalled_s(self) -> float:
        return max(shipper.stalled_s() for shipper in self._shippers.values())

    def settle(self, timeout_s: float, folder: str = "") -> None:
        ends = time.monotonic() + timeout_s
        for shipper in [self._shippers[folder]] if folder else self._shippers.values():
            shipper.settle(max(ends - time.monotonic(), 0.0))


class SegmentShipper:
    """Copies growing local files to a bucket, the oldest first: a segment is complete before the next one appears."""

    def __init__(self, bucket: Store, spool: Path) -> None:
        self._bucket, self._spool = bucket, spool
        self._condition = threading.Condition()
        self._segments: list[SpooledSegment] = []
        self._is_urgent = False
        self._waits_since: float | None = None
        """When the bucket was last asked without having answered since."""

    def open(self, key: str) -> FileAppender:
        """A local file to append to; the newest one may be opened again."""
        with self._condition:
            if not self._segments:
                delete_tree(self._spool)
                self._spool.mkdir(parents=True)
                threading.Thread(target=self._run, daemon=True).start()
            if len(self._segments) >= MAX_SEGMENTS:
                raise timed_out()
            if not self._segments or self._segments[-1].key != key:
                self._segments.append(SpooledSegment(key, self._spool / key.replace("/", "_")))
            return FileAppender(self._segments[-1].path)

    def settle(self, timeout_s: float) -> None:
        """Wait until everything is in the bucket, at most so many seconds."""
        with self._condition:
            self._is_urgent = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: all(segment.is_shipped for segment in self._segments), timeout_s)

    def stalled_s(self) -> float:
        """For how long the bucket has not answered; 0 if it does."""
        since = self._waits_since
        seconds = time.monotonic() - since if since is not None else 0.0
        return seconds if seconds > SLOW_S else 0.0

    def _run(self) -> None:
        while True:
            next_at = time.monotonic() + SHIP_EVERY_S
            self._waits_since = self._waits_since or time.monotonic()
            with contextlib.suppress(OSError):  # the bucket is unavailable: the next round tries again
                while self._ship_oldest():
                    self._waits_since = time.monotonic()
                self._waits_since = None
            with self._condition:
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._is_urgent, next_at - time.monotonic())
                self._is_urgent = False

    def _ship_oldest(self) -> bool:
        """Copy what is new of the oldest segment; True if it is complete and there is a next one."""
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


class SpooledSegment:
    """A log segment in a local file, and how much of it is in the bucket."""

    def __init__(self, key: str, path: Path) -> None:
        self.key, self.path = key, path
        self.shipped_bytes = 0

    @property
    def is_shipped(self) -> bool:
        """Whether the bucket has all that is in the file now."""
        return self.shipped_bytes == self.path.stat().st_size
