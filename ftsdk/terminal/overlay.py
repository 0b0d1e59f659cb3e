"""Curves of several jobs over each other: for the terminal and as a PNG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ftsdk.errors import FtsdkError, NotInstalledError
from ftsdk.terminal.charts import PNG_DPI, PNG_INCHES, Curve, curves, set_range

COLORS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea", "#dc2626", "#0891b2", "#a16207", "#db2777")
COLORS_256 = (33, 208, 34, 134, 160, 37, 136, 168)
"""The same in a terminal's 256 colours; the ninth job has the first one's colour again."""
MARKS = "●▲■◆✚✖★▼"

Jobs = Mapping[str, Iterable[Mapping[str, object]]]
"""Label -> metric records."""


def overlaid(jobs: Jobs) -> list[tuple[Curve, Curve]]:
    """(training, held out) of each job that has a curve, named after the job. Raises FtsdkError if none has one."""
    drawn = []
    for label, records in jobs.items():
        try:
            train, held_out = curves(records)
        except FtsdkError:
            continue
        line = train.smoothed() or train
        drawn.append((Curve(line.steps, line.values, label), Curve(held_out.steps, held_out.values, label)))
    if not drawn:
        raise FtsdkError("There is nothing to draw yet: none of these jobs has logged a loss.")
    return drawn


def terminal_overlay(jobs: Jobs, *, width: int = 80, height: int = 18, color: bool = True) -> str:
    """The jobs' curves as text: lines for the training, marks for the held-out rows.

    Raises FtsdkError if no job has logged a loss.
    """
    from plotext import figure, marker, terminal

    drawn = overlaid(jobs)
    every = [curve for pair in drawn for curve in pair if curve]
    width, height = max(width, 30), max(height, 8)
    terminal.limit(False, False)
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    figure.axes(False, side="upper", axis="x").axes(False, side="right", axis="y")
    set_range(figure.ruler("y"), [value for curve in every for value in curve.values], ticks=height // 4, margin=0.03)
    set_range(figure.ruler("x"), [0.0, *(step for curve in every for step in curve.steps)], ticks=width // 14)
    for number, (train, held_out) in enumerate(drawn):
        hue, mark = COLORS_256[number % len(COLORS_256)], MARKS[number % len(MARKS)]
        if train:
            figure.draw(figure.signal(train.steps, train.values, marker=marker("braille", hue)).lines())
        if held_out:
            figure.draw(figure.signal(held_out.steps, held_out.values, marker=marker(mark, hue)))
    figure.label("optimizer step")
    body: str = figure.build().string(colorless=not color)
    figure.clear()
    return "\n".join([*_legend(drawn, color), *(line.rstrip() for line in body.rstrip("\n").splitlines())])


def save_overlay(jobs: Jobs, path: Path | str) -> Path:
    """Write the jobs' curves as a PNG of 1280 × 720 pixels and return its path.

    Raises NotInstalledError without matplotlib, FtsdkError if no job has logged a loss.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise NotInstalledError(
            "A chart as PNG needs matplotlib, which is not installed: pip install 'ftsdk[plot]'."
        ) from problem

    figure = Figure(figsize=PNG_INCHES, dpi=PNG_DPI, layout="constrained")
    axes = figure.add_subplot()
    for number, (train, held_out) in enumerate(overlaid(jobs)):
        hue = COLORS[number % len(COLORS)]
        axes.plot(train.steps, train.values, color=hue, linewidth=2, label=train.name)
        axes.plot(held_out.steps, held_out.values, color=hue, linestyle="", marker="o")
    axes.set_xlabel("optimizer step")
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title="line: training, dots: held out")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))
    return path


def _legend(drawn: list[tuple[Curve, Curve]], color: bool) -> list[str]:
    lines = []
    for number, (train, held_out) in enumerate(drawn):
        mark = f"━{MARKS[number % len(MARKS)]}"
        shown = f"\x1b[38;5;{COLORS_256[number % len(COLORS_256)]}m{mark}\x1b[0m" if color else mark
        parts = [train.name or held_out.name]
        parts += [f"training {train.change}"] if train else []
        parts += [f"held out {held_out.change}"] if held_out else []
        lines.append(f"{shown} {'  '.join(parts)}")
    return lines
