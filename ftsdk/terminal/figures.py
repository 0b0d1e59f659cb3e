"""What the events of a job add up to: the newest figures, their curves, and what is wrong with them. Draws nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final, Literal, NamedTuple

from ftsdk import contract
from ftsdk.contract.lines import MetricValue

SERIES: Final = ("loss", "eval_loss", "reward", "learning_rate", "grad_norm", "tokens_per_s", "gpu_memory_gib")
"""Metrics that are kept for each step."""
SPIKE_WINDOW: Final = 50
"""Steps before a value with which it is compared."""
FEWEST_POINTS: Final = 10
"""With fewer steps nothing is called unusual."""
SPIKE_MADS: Final = 8.0
"""Median absolute deviations above the median that make a spike: 5.4 standard deviations of a normal distribution."""
SPIKE_SHARE: Final = 0.1
"""And at least this share of the median, so that a loss that hardly moves has no spikes."""
GRADIENT_FACTOR: Final = 100.0
STALL_STEPS: Final = 10.0
"""Times the usual interval between two reports after which a training makes no progress."""
STALL_S: Final = 60.0
"""And at least so many seconds."""
SLOW_SHARE: Final = 0.5
FULL_SHARE: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What is known of a job beside its events; empty or None where it is not."""

    uri: str = ""
    about: str = ""
    """Model, method and machine, e.g. `Qwen2.5-0.5B  sft, lora  1 × L4`."""
    attempt: int = 1
    previous: tuple[str, ...] = ()
    """A phrase for each previous attempt, oldest first."""
    tokens_per_s: tuple[float, float] | None = None
    """Estimated range."""
    memory_gib: float | None = None
    """Estimated peak of one accelerator."""
    usable_gib: float | None = None
    usd_per_hour: float | None = None
    cost_usd: float | None = None
    """At `seen_at`."""
    seen_at: float = 0.0
    """Seconds since the epoch."""
    max_cost_usd: float | None = None


class Concern(NamedTuple):
    """Something that looks wrong."""

    kind: Literal["not_finite", "stalled", "spike", "gradient", "overfitting", "slow", "memory", "budget"]
    sentence: str


@dataclass(slots=True)
class Figures:
    """Updated with each event."""

    phase: str = "starting"
    state: str = ""
    """SUCCEEDED, FAILED and so on after the end; else empty."""
    message: str = ""
    step: int = 0
    total_steps: int = 0
    epoch: float | None = None
    newest: dict[str, MetricValue] = field(default_factory=dict)
    """Metric -> its last value, also one that is not finite."""
    curves: dict[str, dict[int, float]] = field(default_factory=lambda: {name: {} for name in SERIES})
    """Metric -> step -> value; a repeated step counts once, the last."""
    times: dict[int, float] = field(default_factory=dict)
    """Step -> seconds since the epoch."""
    eta_s: float | None = None
    """At `seen_at`."""
    range_s: tuple[float, float] | None = None
    """Of `eta_s`."""
    seen_at: float | None = None
    """Time of the last report, seconds since the epoch."""
    checkpoint: tuple[int, float | None, float, float] | None = None
    """Step, seconds since the epoch, seconds it took and bytes of the last one that is in durable storage."""

    @property
    def has_ended(self) -> bool:
        return bool(self.state)

    def take(self, event: contract.Event, now: float) -> None:
        """Heed one event, which arrives `now` (seconds since the epoch); unknown kinds are ignored."""
        kind = event["event"]
        if kind == contract.EVENT_METRICS:
            self._take_metrics(event, now)
        elif kind == contract.EVENT_PHASE:
            self.phase, self.state, self.message = event["phase"], "", ""
        elif kind == contract.EVENT_COMMIT:
            self.checkpoint = event["step"], event.get("time", self.seen_at), event["seconds"], event["bytes"]
        elif kind == contract.EVENT_OUTCOME:
            self.state, self.phase, self.eta_s = event["state"], event["state"].lower(), None
            self.message = " ".join(filter(None, (event.get("message"), event.get("hint"))))

    def _take_metrics(self, event: contract.Event, now: float) -> None:
        values: dict[str, object] = {**event}
        self.step, self.total_steps = event["step"], event.get("total_steps", self.total_steps)
        self.epoch = event.get("epoch", self.epoch)
        self.seen_at = event.get("time", now)
        for name in SERIES:
            value = values.get(name)
            if isinstance(value, int | float | str):
                self.newest[name] = value
            if isinstance(value, int | float) and math.isfinite(value):
                self.curves[name][self.step] = value
        if contract.metrics_kind(event) == "step":
            self.times[self.step] = self.seen_at
        if isinstance(eta_s := event.get("eta_s"), int | float):
            self.eta_s = eta_s

    def eta(self, now: float) -> float | None:
        """Seconds to the end by now; None where they are unknown."""
        if self.eta_s is None or self.seen_at is None:
            return None
        return max(0.0, self.eta_s - max(0.0, now - self.seen_at))


def concerns(figures: Figures, background: Background, now: float) -> Iterator[Concern]:
    """What looks wrong, the worst first."""
    yield from _not_finite(figures)
    if not figures.has_ended:
        yield from _stalled(figures, now)
    yield from _spikes(figures)
    yield from _overfitting(figures)
    yield from _against_estimate(figures, background)
    yield from _over_budget(figures, background, now)


def cost_now(figures: Figures, background: Background, now: float) -> float | None:
    """US dollars so far; None where the price is unknown."""
    if background.cost_usd is None:
        return None
    hours = 0.0 if figures.has_ended else max(0.0, now - background.seen_at) / 3600
    return background.cost_usd + (background.usd_per_hour or 0.0) * hours


def _not_finite(figures: Figures) -> Iterator[Concern]:
    for name, words in (("loss", "the loss"), ("grad_norm", "the gradient norm")):
        if isinstance(value := figures.newest.get(name), str):
            last = max(figures.curves[name], default=None)
            since = "" if last is None else f"; it was finite until step {last}"
            yield Concern("not_finite", f"{words} is {value}{since}")


def _stalled(figures: Figures, now: float) -> Iterator[Concern]:
    if figures.phase != "training" or figures.seen_at is None or len(figures.times) < 3:
        return
    at = [*figures.times.values()][-SPIKE_WINDOW:]
    usual = median(later - earlier for earlier, later in pairwise(at))
    silent = now - figures.seen_at
    if silent > max(STALL_S, STALL_STEPS * usual):
        sentence = f"no progress for {silent / 60:.0f} min; a report came every {usual:.2g} s before"
        yield Concern("stalled", sentence)


def _spikes(figures: Figures) -> Iterator[Concern]:
    before, last = _last_with_those_before(figures.curves["loss"])
    if len(before) >= FEWEST_POINTS:
        middle = median(before)
        scatter = median(abs(value - middle) for value in before)
        if last - middle > max(SPIKE_MADS * scatter, SPIKE_SHARE * abs(middle)):
            sentence = f"the loss jumped to {last:.3g} at step {figures.step}; its median was {middle:.3g}"
            yield Concern("spike", sentence)
    before, last = _last_with_those_before(figures.curves["grad_norm"])
    if len(before) >= FEWEST_POINTS and last > GRADIENT_FACTOR * median(before) > 0:
        sentence = f"the gradient norm is {last:.3g}, {last / median(before):.0f} times its median: nan may follow"
        yield Concern("gradient", sentence)


def _last_with_those_before(curve: dict[int, float]) -> tuple[Sequence[float], float]:
    *before, last = [*curve.values()][-SPIKE_WINDOW - 1 :] or [0.0]
    return before, last


def _overfitting(figures: Figures) -> Iterator[Concern]:
    held_out = figures.curves["eval_loss"]
    if len(held_out) < 3:
        return
    best = min(held_out, key=lambda step: held_out[step])
    after = [value for step, value in held_out.items() if step > best]
    if len(after) >= 2 and after[-1] >= after[-2] > held_out[best]:
        sentence = f"held-out loss rises since step {best}, where it was {held_out[best]:.4g}: the model overfits"
        yield Concern("overfitting", sentence)


def _against_estimate(figures: Figures, background: Background) -> Iterator[Concern]:
    speeds = [*figures.curves["tokens_per_s"].values()][-FEWEST_POINTS:]
    if background.tokens_per_s and len(speeds) >= 3 and median(speeds) < SLOW_SHARE * background.tokens_per_s[0]:
        sentence = (
            f"{median(speeds):,.0f} tokens/s is less than half of the estimated {background.tokens_per_s[0]:,.0f}"
        )
        yield Concern("slow", sentence)
    used = figures.newest.get("gpu_memory_gib")
    if background.usable_gib and isinstance(used, int | float) and used > FULL_SHARE * background.usable_gib:
        sentence = f"GPU memory is nearly full: {used:.1f} of {background.usable_gib:.1f} GiB"
        yield Concern("memory", sentence)


def _over_budget(figures: Figures, background: Background, now: float) -> Iterator[Concern]:
    cost, eta_s = cost_now(figures, background, now), figures.eta(now)
    if cost is None or background.max_cost_usd is None:
        return
    whole = cost + (background.usd_per_hour or 0.0) * (eta_s or 0.0) / 3600
    if whole > background.max_cost_usd:
        sentence = f"the end would cost {whole:.2f} USD, above the budget of {background.max_cost_usd:.2f} USD"
        yield Concern("budget", sentence)
