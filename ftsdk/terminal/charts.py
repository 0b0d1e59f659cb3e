"""Charts of a job's metrics: for the terminal and as a PNG.

A chart shows the training loss and the held-out loss (`eval_loss`) over the optimizer steps, and of a method that
samples answers what they earned (`reward`, `eval_reward`). Where the training's curve is noisy its points are drawn
faintly and a centred moving average is drawn over them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk.errors import FtsdkError, NotInstalledError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotext._plotter.frame.selection import ruler_selection_class
    from plotext._plotter.plot import plot_class

NAMES = {"loss": ("training loss", "held-out loss"), "reward": ("mean reward", "held-out reward")}
"""Quantity -> what its curve is called, in training and on held-out rows."""
NOISE = 0.01
"""Share of the curve's height by which points must scatter, on average, to be smoothed."""
PNG_INCHES, PNG_DPI = (8.0, 4.5), 160
_BLUE, _ORANGE, _INK, _FAINT = "#2563eb", "#ea580c", "#1f2937", "#6b7280"
_BLUE_256, _ORANGE_256 = 33, 208
"""The same in a terminal's 256 colours; both can be read on black and on white."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over the steps."""

    steps: list[float]
    values: list[float]
    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def change(self) -> str:
        """First and last value, e.g. `8.37 → 4.21`."""
        return f"{self.values[0]:.3g} → {self.values[-1]:.3g}"

    def smoothed(self) -> Curve | None:
        """A centred moving average, narrower towards the ends (which stay where they are); None if it is not noisy."""
        half, last = len(self.values) // 25, len(self.values) - 1
        reaches = ((i, min(half, i, last - i)) for i in range(last + 1))
        values = [_mean(self.values[i - reach : i + reach + 1]) for i, reach in reaches]
        scatter = _mean([abs(raw - mean) for raw, mean in zip(self.values, values, strict=True)])
        noisy = scatter > NOISE * (max(self.values) - min(self.values))
        return Curve(self.steps, values, self.name) if noisy else None


def terminal_chart(
    metrics: Iterable[Mapping[str, object]], *, width: int = 80, height: int = 18, color: bool = True
) -> str:
    """The loss curves as `height` lines of text, `width` columns wide, without a line end after the last.

    Args:
        metrics: records with `step` and any of `loss` and `eval_loss`, as `Job.metrics()` gives them.
        width: columns, at least 30.
        height: lines, at least 8.
        color: use ANSI colours; without them the curves differ in their marks.

    Raises FtsdkError if there is no loss among the metrics.
    """
    from plotext import figure, terminal

    train, held_out = curves(metrics)
    width, height = max(width, 30), max(height, 8)
    terminal.limit(False, False)  # the caller knows how much space there is
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height - 1)
    figure.axes(False, side="upper", axis="x").axes(False, side="right", axis="y")
    set_range(figure.ruler("y"), [*train.values, *held_out.values], ticks=height // 4, margin=0.03)
    set_range(figure.ruler("x"), [*train.steps, *held_out.steps, 0], ticks=width // 14)
    _draw_signals(figure, train, held_out)
    figure.label("optimizer step")
    body: str = figure.build().string(colorless=not color)
    figure.clear()
    return "\n".join([_legend(train, held_out, color), *(line.rstrip() for line in body.rstrip("\n").splitlines())])


def save_png(metrics: Iterable[Mapping[str, object]], path: Path | str, *, title: str, y_label: str = "") -> Path:
    """Write the loss curves as a PNG of 1280 × 720 pixels and return its path.

    Args:
        metrics: records with `step` and any of `loss` and `eval_loss`, as `Job.metrics()` gives them.
        path: the file; its folder is made.
        title: what was trained.
        y_label: what is measured, with its unit; `loss` or `reward` if left out.

    Raises NotInstalledError without matplotlib, and FtsdkError if there is no loss among the metrics.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise NotInstalledError(
            "A chart as PNG needs matplotlib, which is not installed: pip install 'ftsdk[plot]'."
        ) from problem

    records = list(metrics)
    train, held_out = curves(records)
    figure = Figure(figsize=PNG_INCHES, dpi=PNG_DPI, layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, train, held_out)
    held_out_above = not (train and held_out) or held_out.values[-1] >= train.values[-1]
    _annotate(axes, train, -1, _BLUE, above=not held_out_above)
    _annotate(axes, held_out, -1, _ORANGE, above=held_out_above)
    _annotate(axes, held_out or train, 0, _ORANGE if held_out else _BLUE, above=True)
    subtitle = "     ".join(f"{curve.name} {curve.change}" for curve in (train, held_out) if curve)
    _dress(axes, title, y_label or _quantity(records), subtitle=subtitle)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))
    return path


def curves(metrics: Iterable[Mapping[str, object]]) -> tuple[Curve, Curve]:
    """Loss (or reward) in training and on held-out rows; what is not finite is left out.

    Raises FtsdkError if both are empty.
    """
    records = list(metrics)
    quantity = _quantity(records)
    train, held_out = (
        _curve(records, *named) for named in zip((quantity, f"eval_{quantity}"), NAMES[quantity], strict=True)
    )
    if not train and not held_out:
        raise FtsdkError("There is nothing to draw yet: the metrics hold no loss; try again after the first steps.")
    return train, held_out


def _quantity(records: Iterable[Mapping[str, object]]) -> str:
    return "reward" if any("reward" in record for record in records) else "loss"


def _curve(records: Iterable[Mapping[str, object]], key: str, name: str) -> Curve:
    points = sorted(
        (float(step), float(value))
        for record in records
        if isinstance(step := record["step"], int) and isinstance(value := record.get(key), int | float)
        if math.isfinite(value)
    )
    return Curve([step for step, _ in points], [value for _, value in points], name)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


# --- terminal ----------------------------------------------------------------------------------------------
def _draw_signals(figure: plot_class, train: Curve, held_out: Curve) -> None:
    from plotext import marker

    if train:
        line = train.smoothed() or train
        figure.draw(figure.signal(line.steps, line.values, marker=marker("braille", _BLUE_256)).lines())
    if held_out:
        figure.draw(figure.signal(held_out.steps, held_out.values, marker=marker("●", _ORANGE_256)))


def _legend(train: Curve, held_out: Curve, color: bool) -> str:
    shown = [("━", _BLUE_256, train), ("●", _ORANGE_256, held_out)]
    paint = "\x1b[38;5;{code}m{mark}\x1b[0m" if color else "{mark}"
    entries = (f"{paint.format(mark=mark, code=code)} {line.name} {line.change}" for mark, code, line in shown if line)
    return "   ".join(entries)


def set_range(ruler: ruler_selection_class, values: list[float], *, ticks: int, margin: float = 0.0) -> None:
    low, high = min(values), max(values)
    margin = margin * (high - low) or (0.5 if low == high else 0.0)
    low, high = low - margin, high + margin
    positions = nice_ticks(low, high, count=max(ticks, 2))
    decimals = max(len(f"{position:g}".partition(".")[2]) for position in positions)
    ruler.lim(low, high)
    ruler.ticks(positions, [f"{position:.{decimals}f}" for position in positions])


def nice_ticks(low: float, high: float, *, count: int) -> list[float]:
    """About `count` round numbers between low and high: 1, 2 or 5 times a power of ten apart."""
    step = (high - low) / count
    power = 10.0 ** math.floor(math.log10(step))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.7)
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


# --- PNG ---------------------------------------------------------------------------------------------------
def _draw(axes: Axes, train: Curve, held_out: Curve) -> None:
    if train:
        smooth = train.smoothed()
        if smooth:
            axes.plot(train.steps, train.values, color=_BLUE, alpha=0.25, linewidth=1)
        line = smooth or train
        axes.plot(line.steps, line.values, color=_BLUE, linewidth=2, label=train.name, solid_capstyle="round")
    if held_out:
        axes.plot(
            held_out.steps, held_out.values, color=_ORANGE, linestyle="", marker="o", label=held_out.name, zorder=3
        )


def _annotate(axes: Axes, curve: Curve, at: int, color: str, *, above: bool) -> None:
    """Write the value of the first or the last point beside it."""
    if not curve:
        return
    point = curve.steps[at], curve.values[at]
    offset, align = ((-3, 8 if above else -16), "left") if at == 0 else ((5, 8 if above else -16), "right")
    text = f"{point[1]:.3g}"
    axes.annotate(text, point, offset, textcoords="offset points", ha=align, color=color, fontweight="bold")


def _dress(axes: Axes, title: str, y_label: str, *, subtitle: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=24)
    axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=9.5, color=_FAINT)
    axes.set_xlabel("optimizer step", color=_FAINT)
    axes.set_ylabel(y_label, color=_FAINT)
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#d1d5db")
    axes.tick_params(colors=_FAINT, length=0)
    axes.margins(x=0.02, y=0.12)
    axes.legend(frameon=False, loc="upper right", labelcolor=_INK)
