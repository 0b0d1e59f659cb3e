"""A question to durable storage that is asked again and again, in a thread: a bucket may take its time to answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watch:
    """Asks at most every `every_s` seconds, until the answer is yes. Storage that fails has not answered."""

    def __init__(self, ask: Callable[[], bool], every_s: float) -> None:
        self._ask, self._every_s = ask, every_s
        self._yes = False
        self._thread: threading.Thread | None = None
        self._next = 0.0

    def __call__(self) -> bool:
        """The newest answer; returns at once."""
        now = time.monotonic()
        if not self._yes and now >= self._next and not (self._thread and self._thread.is_alive()):
            self._next = now + self._every_s
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()
        return self._yes

    def _look(self) -> None:
        try:
            self._yes = self._ask()
        except OSError:
            return
