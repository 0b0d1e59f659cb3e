"""Charts of an HTML report as inline SVG, drawn here and redrawn by `assets/report.js` when a reader zooms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ftsdk.jobs.metrics import MetricRecord
from ftsdk.reports.comparing import is_number

WIDTH, HEIGHT = 880, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 870, 12, 230
TICKS = 5
MOST_POINTS = 2000
"""More points than pixels add nothing but bytes."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    kind: str
    """`train` or `eval`; the CSS class of its colour."""
    name: str
    points: list[tuple[int, float]]
    """(step, value)."""

    @classmethod
    def of(cls, metrics: Iterable[MetricRecord], kind: str, name: str) -> Series:
        """The values of a metric that are numbers, thinned to `MOST_POINTS`."""
        points = [(int(row["step"]), float(value)) for row in metrics if is_number(value := row.get(name))]
        step = -(-len(points) // MOST_POINTS) or 1
        return cls(kind, name, points[::step])


def chart(title: str, series: Sequence[Series]) -> str:
    """A `<figure>` with a chart; an empty string if no series has a point."""
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    points = json.dumps([{"kind": one.kind, "name": one.name, "points": one.points} for one in drawn])
    data = points.replace("<", "\\u003c")  # no text can end the element
    keys = "".join(f'<span class="key {one.kind}">● {escape(one.name)}</span>' for one in drawn)
    place = f'data-left="{LEFT}" data-right="{RIGHT}" data-top="{TOP}" data-bottom="{BOTTOM}"'
    return (
        f"<figure {place}><strong>{escape(title)}</strong>{_svg(title, drawn)}"
        f"<figcaption>{keys}<output></output></figcaption>"
        f'<script type="application/json">{data}</script></figure>'
    )


def _svg(title: str, series: Sequence[Series]) -> str:
    steps = [step for one in series for step, _ in one.points]
    values = [value for one in series for _, value in one.points]
    x_range, y_range = _widened(min(steps), max(steps)), _widened(min(values), max(values))
    parts = [*_axes(x_range, y_range), f'<rect class="chosen" x="0" y="{TOP}" width="0" height="{BOTTOM - TOP}"/>']
    for one in series:
        placed = [(_place(s, x_range, LEFT, RIGHT), _place(v, y_range, BOTTOM, TOP)) for s, v in one.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="{one.kind}" points="{line}"/>')
        if one.kind == "eval":
            parts += (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in placed)
    label = escape(f"{title} over optimizer steps", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _axes(x_range: tuple[float, float], y_range: tuple[float, float]) -> Iterable[str]:
    for i in range(TICKS):
        share = i / (TICKS - 1)
        y, x = BOTTOM - share * (BOTTOM - TOP), LEFT + share * (RIGHT - LEFT)
        y_value, x_value = (low + share * (high - low) for low, high in (y_range, x_range))
        anchor = "start" if i == 0 else "end" if i == TICKS - 1 else "middle"
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="y" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{y_value:.4g}</text>'
        yield f'<text class="x" x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="{anchor}">{x_value:.0f}</text>'


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low - 0.5, high + 0.5) if low == high else (low, high)


def _place(value: float, span: tuple[float, float], start: float, end: float) -> float:
    return start + (value - span[0]) / (span[1] - span[0]) * (end - start)
