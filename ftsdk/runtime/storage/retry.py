"""Storage may be away for a while: a call is made again until it answers, or until the time for it is over."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENOENT})
"""Waiting does not help."""


def patiently(call: Callable[[], Result], time_left_s: Callable[[], float]) -> Result:
    """The call's result. Raises its OSError if that is hopeless or time is up."""
    pause_s = PAUSE_S
    while True:
        try:
            return call()
        except OSError as problem:
            if problem.errno in HOPELESS or time_left_s() < pause_s:
                raise
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def within_s(seconds: float) -> Callable[[], float]:
    """A clock that counts down from now."""
    ends = time.monotonic() + seconds
    return lambda: ends - time.monotonic()
