"""How long an attempt has run, over all starts of its supervisor: time limits are measured against it.

A platform may wait for hours between two starts of an attempt, so the time since the first one would be too long.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time

from ftsdk import contract
from ftsdk.contract.documents import Clock
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.waiting import within

FINAL_WRITE_TIMEOUT_S = 10.0
WRITE_EVERY_S = 60.0
"""How often the record is written, and so the precision to which a killed supervisor's running time is known."""


class AttemptClock:
    """The clock of one start. If storage fails, the training continues and the next tick writes the record."""

    def __init__(self, durable: Durable, attempt: int, node: int) -> None:
        self._durable, self._key = durable, contract.clock_key(attempt, node)
        self._began, now = time.monotonic(), time.time()
        previous = self._read()
        self.starts = previous["starts"] + 1 if previous else 1
        self.ran_s = previous["ran_s"] + max(0.0, previous["alive_at"] - previous["started_at"]) if previous else 0.0
        """Seconds that previous starts ran."""
        self.started_at = now
        self._next_write = 0.0
        self._writer: threading.Thread | None = None
        self.tick()

    def left_s(self, limit_s: float | None) -> float | None:
        """What was left of a time limit when this start began; None without a limit."""
        return None if limit_s is None else max(0.0, limit_s - self.ran_s)

    def tick(self, *, finally_: bool = False) -> None:
        """Write the record if it is due."""
        now = time.monotonic()
        if now < self._next_write and not finally_:
            return
        self._next_write = now + WRITE_EVERY_S
        alive_at = self.started_at + now - self._began
        record = Clock(starts=self.starts, ran_s=self.ran_s, started_at=self.started_at, alive_at=alive_at)
        if finally_:
            with contextlib.suppress(TimeoutError):
                within(FINAL_WRITE_TIMEOUT_S, lambda: self._put(record))
        elif not (self._writer and self._writer.is_alive()):  # in a thread: a bucket may be slow to respond
            self._writer = threading.Thread(target=self._put, args=(record,), daemon=True)
            self._writer.start()

    def _put(self, record: Clock) -> None:
        with contextlib.suppress(OSError):
            self._durable.put(self._key, json.dumps(record).encode())

    def _read(self) -> Clock | None:
        try:
            record: Clock = json.loads(self._durable.read(self._key))
        except (OSError, ValueError):
            return None
        return record
