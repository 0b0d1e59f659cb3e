"""When the next checkpoint is due: by steps, by the clock, or by what a checkpoint costs against what it may save."""

from __future__ import annotations

import math
import time

from ftsdk.contract.documents import CheckpointPolicy

ASSUMED_COST_S = 1.0
"""Until the first checkpoint has shown its cost."""


class Cadence:
    """The policy of a job, and what its checkpoints have cost so far. Only rank 0 looks at the clock."""

    def __init__(self, policy: CheckpointPolicy) -> None:
        self._policy = policy
        self._saved_at = 0.0
        self._published_within_s = 0.0
        self.cost_s = ASSUMED_COST_S
        """Seconds for which training stood still for the last checkpoint."""

    @property
    def every_s(self) -> float | None:
        """Seconds between checkpoints, None if the policy counts steps.

        `auto` is sqrt(2 · cost · MTBF) (Young, 1974), but never more often than checkpoints can be published.
        """
        minutes, mtbf_hours = self._policy["every_minutes"], self._policy["mtbf_hours"]
        if minutes is not None:
            return 60 * minutes
        if mtbf_hours is None:
            return None
        return max(math.sqrt(2 * self.cost_s * 3600 * mtbf_hours), self._published_within_s)

    def begin(self) -> None:
        """Training begins, from the start or from a checkpoint."""
        self._saved_at = time.monotonic()

    def saved(self, *, published_within_s: float) -> None:
        """A checkpoint is on scratch; the last one took so long to reach durable storage."""
        self._saved_at, self._published_within_s = time.monotonic(), published_within_s

    def is_late(self) -> bool:
        """Whether the clock asks for a checkpoint."""
        every_s = self.every_s
        return every_s is not None and time.monotonic() - self._saved_at >= every_s

    def is_due(self, step: int) -> bool:
        """Whether the count of steps asks for one."""
        every = self._policy["every_steps"]
        return every is not None and step % every == 0
