"""An estimate as text: memory by term, whether it fits, what to change, speed and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import fill

from ftsdk.cli.output import duration, table
from ftsdk.sizing import Estimate
from ftsdk.sizing.speedup import Speedup

GIB = 1 << 30
JOINED = "\0"
"""Stands for a space at which a line is not folded."""
VERDICTS = {
    "yes": "fits",
    "tight": "fits barely",
    "no": "does NOT fit",
    "unknown": "no accelerator named, so whether it fits is unknown",
}

GUESSED = {
    "yes": "fits, if the guess of the model holds",
    "tight": "may fit or not, the model is a guess",
    "no": "does NOT fit, if the guess of the model holds",
}


def estimate_text(estimate: Estimate) -> str:
    """Lines for a terminal; every figure and its source is in the JSON form."""
    return "\n".join(_lines(estimate))


def verdict(estimate: Estimate) -> str:
    """Whether the job fits, in words that say where the model is a guess."""
    if not estimate.guess or estimate.fits == "unknown":
        return VERDICTS[estimate.fits]
    return GUESSED[estimate.fits]


def _span(estimate: Estimate) -> str:
    low, high = estimate.memory_low_gib, estimate.memory_high_gib
    return "" if low is None or high is None else f" ({low:.1f} to {high:.1f})"


def speedup_text(speedups: Sequence[Speedup]) -> str:
    """A line for each way to train faster, as options of `plan` and `submit`; empty without one."""
    return "\n\nby the same estimate:\n" + "\n".join(map(_speedup_line, speedups)) if speedups else ""


def _speedup_line(speedup: Speedup) -> str:
    options = " ".join(f"--set{JOINED}{name}={str(value).lower()}" for name, value in speedup.changes.items())
    folded = fill(options, 80, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    batches = "with the same batches" if speedup.keeps_batches else "with packed rows, so other batches"
    heading = f"  {speedup.factor:.1f} times as fast {batches} ({speedup.total_gib:.1f} GiB):"
    return f"{heading}\n{folded.replace(JOINED, ' ')}"


def _lines(estimate: Estimate) -> Iterator[str]:
    if memory := estimate.memory:
        usable = f" of {estimate.usable_gib:.1f} usable on {estimate.card}" if estimate.card else ""
        yield f"estimate: {memory.total_gib:.1f} GiB{_span(estimate)} per accelerator{usable}: {verdict(estimate)}"
        yield from [f"  model: {estimate.guess}"] if estimate.guess else []
        rows = [(f"  {term.name}", f"{term.bytes / GIB:8.2f}", term.why) for term in memory.terms]
        yield table(("  memory", "     GiB", "why"), rows)
    else:
        yield "estimate:"
    if advice := estimate.advice:
        yield f"  to make it fit: {', '.join(advice.changes)} ({advice.total_gib:.1f} GiB then)"
    if speed := estimate.speed:
        span = f"{speed.low:,.0f} to {speed.high:,.0f}"
        why = f": {speed.range_why}" if speed.range_why else ""
        yield f"  speed: {speed.tokens_per_s:,.0f} tokens/s per accelerator ({span}{why})"
    if estimate.hours is not None and estimate.hours_low is not None and estimate.hours_high is not None:
        low, high = duration(3600 * estimate.hours_low), duration(3600 * estimate.hours_high)
        what = " of training" if estimate.trained is not None else ""
        yield f"  time: {duration(3600 * estimate.hours)}{what} ({low} to {high})"
    yield from (f"  unknown: {sentence}" for sentence in estimate.unknown)
