"""An estimate as text: memory by term, whether it fits, what to change, speed and time."""

from __future__ import annotations

from collections.abc import Iterator

from ftsdk.cli.output import duration, table
from ftsdk.sizing import Estimate

GIB = 1 << 30
VERDICTS = {
    "yes": "fits",
    "tight": "fits barely",
    "no": "does NOT fit",
    "unknown": "no accelerator named, so whether it fits is unknown",
}


def estimate_text(estimate: Estimate) -> str:
    """Lines for a terminal; every figure and its source is in the JSON form."""
    return "\n".join(_lines(estimate))


def _lines(estimate: Estimate) -> Iterator[str]:
    if memory := estimate.memory:
        usable = f" of {estimate.usable_gib:.1f} usable on {estimate.card}" if estimate.card else ""
        yield f"estimate: {memory.total_gib:.1f} GiB per accelerator{usable}: {VERDICTS[estimate.fits]}"
        rows = [(f"  {term.name}", f"{term.bytes / GIB:8.2f}", term.why) for term in memory.terms]
        yield table(("  memory", "     GiB", "why"), rows)
    else:
        yield "estimate:"
    if advice := estimate.advice:
        yield f"  to make it fit: {', '.join(advice.changes)} ({advice.total_gib:.1f} GiB then)"
    if speed := estimate.speed:
        span = f"{speed.low:,.0f} to {speed.high:,.0f}"
        yield f"  speed: {speed.tokens_per_s:,.0f} tokens/s per accelerator ({span})"
    if estimate.hours is not None and estimate.hours_low is not None and estimate.hours_high is not None:
        low, high = duration(3600 * estimate.hours_low), duration(3600 * estimate.hours_high)
        what = " of training" if estimate.trained is not None else ""
        yield f"  time: {duration(3600 * estimate.hours)}{what} ({low} to {high})"
    yield from (f"  unknown: {sentence}" for sentence in estimate.unknown)
