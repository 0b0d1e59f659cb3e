"""A running job's own speed: how long it still takes and what it still costs, from its first steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles
from typing import NamedTuple


class Remaining(NamedTuple):
    """What is left of a job. The range is that of the slow and the fast tenth of its steps."""

    hours: float
    hours_low: float
    hours_high: float
    cost_usd: float | None
    source: str


def remaining(
    points: Sequence[tuple[int, float]], total_steps: int, *, usd_per_hour: float | None = None
) -> Remaining | None:
    """Time and cost to finish from (step, seconds) points of one attempt, in order.

    The first interval is left out, since it holds compilation and filling caches. None with fewer than three points.
    """
    pairs = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points[1:]) if b[0] > a[0]]
    if not pairs:
        return None
    left = max(0, total_steps - points[-1][0])
    mean = sum(seconds for _, seconds in pairs) / sum(steps for steps, _ in pairs)
    each = [seconds / steps for steps, seconds in pairs]
    tenths = quantiles(each, n=10) if len(each) > 1 else [mean, mean]
    hours = left * mean / 3600
    return Remaining(
        hours=hours,
        hours_low=min(hours, left * tenths[0] / 3600),
        hours_high=max(hours, left * tenths[-1] / 3600),
        cost_usd=None if usd_per_hour is None else hours * usd_per_hour,
        source=f"measured over {points[-1][0] - points[1][0]} steps of this job",
    )
