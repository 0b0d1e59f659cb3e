"""What a campaign records: the baseline of a setup, the faults of a run, and their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.resume.setups import Setup
from ftsdk.backends.base import JobState
from ftsdk.testing.faults import KINDS, Fault

ENDING = frozenset(name for name, kind in KINDS.items() if kind.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The results of a training without faults."""

    weights: dict[str, str]
    """File -> SHA-256."""
    metrics: Sequence[Mapping[str, Any]]
    seconds: float


@dataclass(slots=True, kw_only=True)
class MeasuredFault:
    """One fault and its cost."""

    fault: Fault
    during: str
    """`start` or `training`: the phase of the attempt."""
    start: int
    """0-based index of the supervisor's start that was hit."""
    survivors_s: float
    """Seconds until all processes of the attempt had ended."""
    orphans: int
    """Processes that did not end."""
    lost_steps: int | None = None
    """Steps that were repeated; None if the start that was hit had not logged any."""
    while_publishing: int = 0
    """Those of them that were trained after the next checkpoint was saved, while it was being published."""

    @property
    def came_too_late(self) -> bool:
        """Whether the training had already succeeded, so that nothing was interrupted."""
        return self.fault.state == JobState.SUCCEEDED

    @property
    def is_interruption(self) -> bool:
        """Whether it ended an attempt, or one start of it."""
        return not (self.came_too_late or self.was_survived)

    @property
    def was_survived(self) -> bool:
        """Whether the attempt continued: usually after an outage."""
        return self.fault.kind not in ENDING and self.fault.state == JobState.RUNNING


@dataclass(slots=True, kw_only=True)
class CampaignRun:
    """A training with faults, from its submit to its end."""

    setup: Setup
    seed: int
    faults: list[MeasuredFault] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
