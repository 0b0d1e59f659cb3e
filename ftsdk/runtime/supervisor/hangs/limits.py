"""How long a phase of a training may show no progress. Slow is not hung: each phase has its own limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ftsdk.runtime.worker_protocol import Phase


class PhaseLimit(NamedTuple):
    """Limits as multiples of the job document's `hang_s`."""

    silent: float
    """Time without a heartbeat."""
    idle: float | None
    """Time without a heartbeat in which, in addition, no process of the trainer computes, reads or writes. Only on a
    single node: one that waits for another node is idle too."""


LIMITS: Mapping[str, PhaseLimit] = {
    Phase.LOADING: PhaseLimit(120, 5),
    Phase.TOKENISING: PhaseLimit(1440, 5),
    Phase.COMPILE: PhaseLimit(30, 5),
    Phase.STEP: PhaseLimit(1, None),
    Phase.REWARD: PhaseLimit(10, None),
    Phase.EVALUATION: PhaseLimit(30, 5),
    Phase.CHECKPOINT: PhaseLimit(30, 5),
    Phase.FINISHING: PhaseLimit(60, 5),
    Phase.EXIT: PhaseLimit(5, None),
}
STOPPED = 1.0
"""Time for which a process may be stopped (SIGSTOP, SIGTSTP), in every phase."""
SLOWEST_STEPS = 3.0
"""A step may take this many times the 99th percentile of the previous steps."""


def silent_limit_s(phase: str, hang_s: float, slowest_step_s: float) -> float:
    """Seconds without a heartbeat after which a rank hangs."""
    by_steps = SLOWEST_STEPS * slowest_step_s if phase == Phase.STEP else 0.0
    return max(hang_s * LIMITS[phase].silent, by_steps)
