"""Spot capacity: its saving, the cost of interruptions, the checkpoint interval, and when to change to on-demand.

Interruptions arrive at random with a mean time between them (MTBF). After one, work since the last checkpoint is
done again and the machine starts again. The expected time of a checkpointed job then has a closed form
(Daly, "A higher order estimate of the optimum checkpoint interval", 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import exp, sqrt
from typing import Final, Literal, NamedTuple

from ftsdk.sizing.tables import rows

ADVISOR_SOURCE: Final = "AWS Spot Instance Advisor, 2025-06-28"
BUCKETS: Final = ("under 5 %", "5 to 10 %", "10 to 15 %", "15 to 20 %", "over 20 %")
MTBF_HOURS: Final = 3.0
"""Used when no other value is given: the advisor's bucket is no rate, and traces (V100, 2023) show 0.7 to 10.4 h."""
MTBF_RANGE_HOURS: Final = (0.7, 10.4)
AVAILABLE_SHARE: Final = 0.5
"""Share of the time in which capacity is available; the same traces show 0.17 to 0.91."""
AVAILABLE_RANGE: Final = (0.17, 0.91)


class AdvisorEntry(NamedTuple):
    """The advisor's data on a machine type, over its regions."""

    saving_low: float
    saving: float
    saving_high: float
    """Shares of the on-demand price that are saved: 10th percentile, median, 90th percentile."""
    interrupted: str
    """Share of machines interrupted in a month."""
    source: str


@dataclass(frozen=True, slots=True)
class SpotPlan:
    """Expected course of a job on interruptible capacity. Ranges: every assumption at its good or bad end."""

    hours: float
    hours_low: float
    hours_high: float
    cost_share: float
    cost_share_low: float
    cost_share_high: float
    """Expected cost over the on-demand cost."""
    interruptions: float
    checkpoint_every_minutes: float
    assumptions: tuple[str, ...]


@cache
def advisor(instance: str) -> AdvisorEntry | None:
    """Advisor data of a machine type (`p4d.24xlarge`, `ml.p4d.24xlarge`), or None."""
    name = instance.removeprefix("ml.")
    row = next((row for row in rows("spot_advisor.csv") if row["instance"] == name), None)
    if row is None:
        return None
    low, middle, high = (float(row[f"saving_{q}"]) / 100 for q in ("p10", "median", "p90"))
    return AdvisorEntry(low, middle, high, BUCKETS[round(float(row["interruption_bucket"]))], ADVISOR_SOURCE)


def quoted(usd_per_hour: float, spot_usd_per_hour: float, source: str) -> AdvisorEntry:
    """The saving of a quoted spot price; how often it is interrupted is not known."""
    saving = 1 - spot_usd_per_hour / usd_per_hour
    return AdvisorEntry(saving, saving, saving, "unknown", source)


def young_s(save_s: float, mtbf_s: float) -> float:
    """Best time between checkpoints, first order: sqrt(2 · save · MTBF) (Young, 1974)."""
    return sqrt(2 * save_s * mtbf_s)


def daly_s(save_s: float, mtbf_s: float) -> float:
    """Best time between checkpoints, higher order (Daly, 2006, eq. 37); the MTBF itself when saving takes longer."""
    if save_s >= 2 * mtbf_s:
        return mtbf_s
    ratio = save_s / (2 * mtbf_s)
    return sqrt(2 * save_s * mtbf_s) * (1 + sqrt(ratio) / 3 + ratio / 9) - save_s


def stretched(work_s: float, every_s: float, save_s: float, restart_s: float, mtbf_s: float) -> float:
    """Expected running seconds of `work_s` seconds of work under interruptions (Daly, 2006, eq. 13)."""
    every_s = min(every_s, work_s)
    return mtbf_s * exp(restart_s / mtbf_s) * (exp((every_s + save_s) / mtbf_s) - 1) * work_s / every_s


def expected_interruptions(running_s: float, mtbf_s: float) -> float:
    """Expected number of interruptions in so much running time."""
    return running_s / mtbf_s


def spot_plan(
    work_hours: float,
    *,
    advice: AdvisorEntry | None,
    save_s: float = 30.0,
    restart_s: float = 300.0,
    every_minutes: float | None = None,
    mtbf_hours: float | None = None,
    machines: int = 1,
) -> SpotPlan | None:
    """Expected cost and wall time; None where no saving is known.

    One interrupted machine stops a job of several. The middle and the slow end take their interruptions as independent,
    the fast end as all at once, as when a provider takes a whole group.

    `save_s` is the time that training pauses for a checkpoint, `restart_s` from the machine's start to the first
    step. `every_minutes` is the cadence if it is fixed; otherwise Daly's.
    """
    if advice is None:
        return None
    middle = mtbf_hours or MTBF_HOURS
    worst, best = (mtbf_hours, mtbf_hours) if mtbf_hours else MTBF_RANGE_HOURS
    middle, worst = middle / machines, worst / machines
    every_s = 60 * every_minutes if every_minutes else daly_s(save_s, 3600 * middle)
    work_s = 3600 * work_hours

    def factor(mtbf: float) -> float:
        return stretched(work_s, every_s, save_s, restart_s, 3600 * mtbf) / work_s

    running = [work_hours * factor(mtbf) for mtbf in (middle, best, worst)]
    return SpotPlan(
        hours=running[0] / AVAILABLE_SHARE,
        hours_low=running[1] / AVAILABLE_RANGE[1],
        hours_high=running[2] / AVAILABLE_RANGE[0],
        cost_share=(1 - advice.saving) * factor(middle),
        cost_share_low=(1 - advice.saving_high) * factor(best),
        cost_share_high=(1 - advice.saving_low) * factor(worst),
        interruptions=expected_interruptions(3600 * running[0], 3600 * middle),
        checkpoint_every_minutes=every_s / 60,
        assumptions=(
            f"saving: {advice.source}",
            "mean time between interruptions: "
            + (f"{mtbf_hours:g} h, given" if mtbf_hours else "3 h (0.7 to 10.4 h in traces of 2023); give your own"),
            *([f"any of the {machines} machines that is interrupted stops the job"] if machines > 1 else []),
            "capacity is there half of the time (17 to 91 % in traces of 2023)",
        ),
    )


def decide(
    *, hours_left: float, work_left_hours: float, restart_s: float = 300.0, margin: float = 0.1
) -> Literal["spot", "on-demand"]:
    """Deadline policy: stay on spot while finishing on demand from here on would still be in time.

    The slack that must remain is one restart and `margin` of the work that is left ("Can't Be Late", NSDI 2024,
    calls this the point where the latest start has come).
    """
    needed = work_left_hours * (1 + margin) + restart_s / 3600
    return "spot" if hours_left > needed else "on-demand"
