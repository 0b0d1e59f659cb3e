"""How long an attempt has run, over all starts of its supervisor: what its limits in time are counted from.

A platform may wait for hours between two starts of an attempt, so the time since the first one would count too much.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time

from ftsdk import contract
from ftsdk.contract.documents import Clock
from ftsdk.runtime.storage.durable import Durable

TELL_EVERY_S = 60.0
"""How often it is written down: a killed supervisor's time is known to within this."""


class RunningTime:
    """The clock of one start. Storage that fails is no reason to stop a training: the next tick tries again."""

    def __init__(self, durable: Durable, attempt: int, node: int) -> None:
        self._durable, self._key = durable, contract.clock_key(attempt, node)
        self._began, now = time.monotonic(), time.time()
        earlier = self._read()
        self.starts = earlier["starts"] + 1 if earlier else 1
        self.ran_s = earlier["ran_s"] + max(0.0, earlier["alive_at"] - earlier["started_at"]) if earlier else 0.0
        """Seconds that earlier starts ran."""
        self.started_at = now
        self._next_tell = 0.0
        self._telling: threading.Thread | None = None
        self.tick()

    def left_s(self, limit_s: float | None) -> float | None:
        """What is left of a limit at this start's beginning; None without a limit."""
        return None if limit_s is None else max(0.0, limit_s - self.ran_s)

    def tick(self, *, finally_: bool = False) -> None:
        """Write down that we are alive, if it is time to."""
        now = time.monotonic()
        if now < self._next_tell and not finally_:
            return
        self._next_tell = now + TELL_EVERY_S
        alive_at = self.started_at + now - self._began
        said = Clock(starts=self.starts, ran_s=self.ran_s, started_at=self.started_at, alive_at=alive_at)
        if finally_:
            self._put(said)
        elif not (self._telling and self._telling.is_alive()):  # in a thread: a bucket may answer late
            self._telling = threading.Thread(target=self._put, args=(said,), daemon=True)
            self._telling.start()

    def _put(self, said: Clock) -> None:
        with contextlib.suppress(OSError):
            self._durable.put(self._key, json.dumps(said).encode())

    def _read(self) -> Clock | None:
        try:
            found: Clock = json.loads(self._durable.read(self._key))
        except (OSError, ValueError):
            return None
        return found
