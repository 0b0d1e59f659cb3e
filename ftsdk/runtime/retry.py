"""The retry policy: how often, for how long and after which pauses a failed call is repeated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")

_MAX_DOUBLINGS = 60
"""Keeps 2**n a finite float; every policy has reached its longest pause long before."""


class RetryPolicy(NamedTuple):
    """Exponential backoff with jitter. Without `attempts` and `deadline_s`, a call is repeated forever."""

    attempts: int | None = None
    """Calls altogether, the first one included."""
    deadline_s: float | None = None
    """No call is repeated later than so many seconds after the first one began."""
    first_pause_s: float = 0.2
    """Pause before the first retry; each further one is twice as long."""
    max_pause_s: float = 10.0
    jitter: float = 0.2
    """Each pause is longer or shorter by up to this share, at random, so that many callers do not come at once."""
    is_final: Callable[[Exception], bool] = lambda problem: False
    """Whether a retry after this error is useless."""

    def backoff_s(self, retry: int) -> float:
        """Pause before a retry, without jitter.

        Args:
            retry: 1-based retry index.
        """
        return min(self.first_pause_s * 2.0 ** min(retry - 1, _MAX_DOUBLINGS), self.max_pause_s)

    def pauses(self) -> Iterator[float]:
        """Pause before each retry, in seconds; ends after the last permitted attempt. Does not know the deadline."""
        for retry in count(1) if self.attempts is None else range(1, self.attempts):
            yield self.backoff_s(retry) * random.uniform(1 - self.jitter, 1 + self.jitter)

    def call(self, function: Callable[[], Result], *, time_left_s: Callable[[], float] | None = None) -> Result:
        """Call a function until it returns. Raises its last exception once that is final or the attempts are used up.

        Args:
            function: called without arguments.
            time_left_s: replaces `deadline_s` where the deadline may move: seconds that are left now.
        """
        ends = time.monotonic() + (float("inf") if self.deadline_s is None else self.deadline_s)
        left_s = time_left_s or (lambda: ends - time.monotonic())
        pauses = self.pauses()
        while True:
            try:
                return function()
            except Exception as problem:
                pause_s = next(pauses, None)
                if pause_s is None or self.is_final(problem) or left_s() < pause_s:
                    raise
            time.sleep(pause_s)
