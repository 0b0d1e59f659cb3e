"""Token lengths drawn: bars in the terminal, or a PNG."""

from __future__ import annotations

from pathlib import Path

from ftsdk.data.statistics.stats import Stats
from ftsdk.errors import NotInstalledError

_EIGHTHS = " ▏▎▍▌▋▊▉"


def terminal_histogram(stats: Stats, *, width: int = 48) -> str:
    """One line for each bin: tokens from, a bar, rows. `width` is that of the longest bar, in columns."""
    most = max(count for _, count in stats.histogram)
    lines = []
    for number, (tokens, count) in enumerate(stats.histogram):
        more = "+" if number == len(stats.histogram) - 1 else " "
        lines.append(f"{tokens:>8,}{more} {_bar(count / most * width)} {count:,}")
    return "\n".join(["  tokens  rows", *lines])


def _bar(length: float) -> str:
    whole, eighths = divmod(round(length * 8), 8)
    return "█" * whole + _EIGHTHS[eighths].strip()


def save_png(stats: Stats, path: Path | str, *, title: str = "Token lengths") -> Path:
    """Write the histogram, with the median, the 99th percentile and cutoff_len, as a PNG of 1280 × 720 pixels.

    Raises NotInstalledError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise NotInstalledError(
            "A chart as PNG needs matplotlib, which is not installed: pip install 'ftsdk[plot]'."
        ) from problem
    starts = [tokens for tokens, _ in stats.histogram]
    step = starts[1] - starts[0] if len(starts) > 1 else 1
    figure = Figure(figsize=(12.8, 7.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.bar(starts, [count for _, count in stats.histogram], width=step, align="edge", color="#4477aa")
    marks = (("median", stats.percentiles[50]), ("99 %", stats.percentiles[99]), ("cutoff_len", stats.cutoff_len))
    for name, tokens in marks:
        axes.axvline(tokens, color="#444444", linewidth=1, linestyle="--")
        axes.annotate(f" {name} {tokens:,}", (tokens, 0.97), xycoords=("data", "axes fraction"), va="top", rotation=90)
    axes.set_title(f"{title}: {stats.num_rows:,} rows, {stats.how_counted}", loc="left")
    axes.set_xlabel("tokens of a row")
    axes.set_ylabel("rows")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(target))
    return target
