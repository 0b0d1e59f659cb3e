"""When the next checkpoint is due: by steps, by time, or by its cost against the expected loss of an interruption."""

from __future__ import annotations

import math
import time

from ftsdk.contract.documents import CheckpointPolicy

ASSUMED_COST_S = 1.0
"""Used until the first checkpoint has been measured."""


class Cadence:
    """The policy of a job and the measured cost of its checkpoints. Only rank 0 reads the clock."""

    def __init__(self, policy: CheckpointPolicy) -> None:
        self._policy = policy
        self._saved_at = 0.0
        self._publish_s = 0.0
        self.cost_s = ASSUMED_COST_S
        """Seconds for which the last checkpoint paused the training."""

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
        return max(math.sqrt(2 * self.cost_s * 3600 * mtbf_hours), self._publish_s)

    def begin(self) -> None:
        """Called when training begins, from the start or from a checkpoint."""
        self._saved_at = time.monotonic()

    def saved(self, *, publish_s: float) -> None:
        """Called when a checkpoint is on scratch; `publish_s` is how long the last publish took."""
        self._saved_at, self._publish_s = time.monotonic(), publish_s

    def is_due_by_time(self) -> bool:
        """Whether a checkpoint is due by the clock."""
        every_s = self.every_s
        return every_s is not None and time.monotonic() - self._saved_at >= every_s

    def is_due_by_step(self, step: int, total_steps: int) -> bool:
        """Whether a checkpoint is due by the number of steps; a policy below 1 is a share of all steps."""
        every = self._policy["every_steps"]
        if every is None:
            return False
        steps = int(every) if every >= 1 else math.ceil(total_steps * every)  # as transformers rounds it
        return step % steps == 0
