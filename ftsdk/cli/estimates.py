"""An estimate for people: what fills the memory, whether it fits, what to change, how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ftsdk.cli.output import duration, table

GIB = 1 << 30
VERDICTS = {
    "yes": "fits",
    "tight": "fits barely",
    "no": "does NOT fit",
    "unknown": "no accelerator named, so whether it fits is unknown",
}


def estimate_text(estimate: dict[str, Any]) -> str:
    """Lines for a terminal; every figure and its source is in the JSON form."""
    return "\n".join(_lines(estimate))


def _lines(estimate: dict[str, Any]) -> Iterator[str]:
    memory = estimate.get("memory")
    if memory:
        usable = f" of {estimate['usable_gib']:.1f} usable on {estimate['card']}" if estimate["card"] else ""
        yield f"estimate: {memory['total_gib']:.1f} GiB per accelerator{usable}: {VERDICTS[estimate['fits']]}"
        rows = [(f"  {term['name']}", f"{term['bytes'] / GIB:8.2f}", term["why"]) for term in memory["terms"]]
        yield table(("  memory", "     GiB", "why"), rows)
    else:
        yield "estimate:"
    if estimate.get("advice"):
        advised = estimate["advice"]
        yield f"  to make it fit: {', '.join(advised['changes'])} ({advised['total_gib']:.1f} GiB then)"
    if estimate.get("speed"):
        speed = estimate["speed"]
        span = f"{speed['low']:,.0f} to {speed['high']:,.0f}"
        yield f"  speed: {speed['tokens_per_s']:,.0f} tokens/s per accelerator ({span})"
    if estimate.get("hours") is not None:
        low, high = (duration(3600 * estimate[f"hours_{end}"]) for end in ("low", "high"))
        yield f"  time: {duration(3600 * estimate['hours'])} of training ({low} to {high})"
    yield from (f"  unknown: {sentence}" for sentence in estimate.get("unknown", ()))
