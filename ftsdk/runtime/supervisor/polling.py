"""A yes-or-no query to durable storage that is repeated in a thread, because a bucket may be slow to respond."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class BackgroundPoll:
    """Calls `query` at most every `interval_s` seconds until it returns True. An OSError counts as False."""

    def __init__(self, query: Callable[[], bool], interval_s: float) -> None:
        self._query, self._interval_s = query, interval_s
        self._result = False
        self._thread: threading.Thread | None = None
        self._next = 0.0

    def __call__(self) -> bool:
        """The newest result; returns at once."""
        now = time.monotonic()
        if not self._result and now >= self._next and not (self._thread and self._thread.is_alive()):
            self._next = now + self._interval_s
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._query()
        except OSError:
            return
