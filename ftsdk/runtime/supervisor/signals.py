"""Signals as flags, and a descriptor that wakes the supervisor's loop."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from types import FrameType


class Signals:
    """SIGTERM and SIGINT request a stop; later ones change nothing. Installed first: PID 1 has no default handlers."""

    def __init__(self) -> None:
        self.stopped_at: float | None = None
        """`time.monotonic()` of the first request."""
        self.descriptor, self._write = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def wake(self) -> None:
        """Wake the loop from another thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"\0")

    def drain(self) -> None:
        """Discard the wake-ups so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)

    def request_stop(self) -> None:
        """The same as a SIGTERM, for platforms that cancel with a SIGKILL."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.request_stop()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Does nothing; SIGCHLD must have a Python handler in order to write to the wake-up descriptor."""
