"""What an agent may start by itself: on which backends, and for how much in all."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from ftsdk.plan import Plan

OWN_MACHINE: Final = ("local", "docker")
"""Backends whose jobs cost nothing but this machine's time."""


def cost_usd(plan: Plan) -> float | None:
    """The most that a plan's training is estimated to cost; None if time or price is unknown."""
    if plan.backend in OWN_MACHINE:
        return 0.0
    hours = plan.estimate.hours_high or plan.estimate.hours
    return None if hours is None or plan.usd_per_hour is None else hours * plan.usd_per_hour


@dataclass(slots=True)
class Limits:
    """Set by the person who starts the server; used up by what is submitted without asking."""

    backends: tuple[str, ...] = ()
    max_cost_usd: float = 0.0
    used_usd: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def allows(self, plan: Plan) -> bool:
        """Whether a plan may be submitted without asking a person."""
        cost = cost_usd(plan)
        return plan.backend in self.backends and cost is not None and self.used_usd + cost <= self.max_cost_usd

    def use(self, plan: Plan) -> bool:
        """Count a plan that is about to be submitted; False if another one has used the rest meanwhile."""
        with self._lock:
            if not self.allows(plan):
                return False
            self.used_usd += cost_usd(plan) or 0.0
            return True
