"""The live view of a job, or of several, as a screen of rich renderables."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ftsdk import contract
from ftsdk.contract.lines import MetricValue
from ftsdk.errors import printable
from ftsdk.terminal.figures import Background, Figures, concerns, cost_now

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table
    from rich.text import Text

BARS: Final = "▁▂▃▄▅▆▇█"
LOG_LINES: Final = 8
"""Most lines of the log below the figures."""
WIDE: Final = 120
"""Columns from which curves and resources stand side by side."""
STATE_STYLES: Final = {"SUCCEEDED": "bold green", "FAILED": "bold red", "CANCELLED": "bold yellow"}


@dataclass(slots=True)
class JobView:
    """One job on the screen. `take` and `write` change what is drawn next."""

    background: Background = field(default_factory=Background)
    figures: Figures = field(default_factory=Figures)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    def take(self, event: contract.Event, now: float) -> None:
        """Heed one event of the job."""
        self.figures.take(event, now)

    def write(self, text: str) -> None:
        """Show a line of the job's log."""
        if line := text.rstrip().rpartition("\r")[2].expandtabs():
            self.log.append(printable(line))

    @property
    def state(self) -> str:
        """SUCCEEDED and so on after the end, before it RUNNING or, without a sign of life, PENDING."""
        return self.figures.state or ("PENDING" if self.figures.phase == "starting" else "RUNNING")


@dataclass(frozen=True, slots=True)
class Screen:
    """The views as they are when rich draws them, in the size of the terminal."""

    views: Sequence[JobView]
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    is_table: bool = False
    """A table also of one job."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = self.clock()
        if self.is_table or len(self.views) != 1:
            yield from _many(self.views, options.max_width, console.size.height, now)
            return
        view = self.views[0]
        parts = [*_head(view), *_body(view, options.max_width, now)]
        yield from parts
        used = sum(len(console.render_lines(part, options)) for part in parts)
        room = console.size.height - used - 2
        yield from _tail([*view.log][-room:] if room > 0 else [])


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a row of at most `width` bars; where there are more values, each bar is the mean of several."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    edges = [len(values) * i // count for i in range(count + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((mean - low) * scale)] for mean in means)


def duration(seconds: float) -> str:
    """`45s`, `2m05s` or `1h02m`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def data_size(count: float) -> str:
    """Bytes in decimal units, with three digits."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


# --- one job -------------------------------------------------------------------------------------------------
def _head(view: JobView) -> Iterator[RenderableType]:
    background, figures = view.background, view.figures
    if background.uri:
        attempt = f"  attempt {background.attempt}" if background.attempt > 1 else ""
        yield _text((view.state, STATE_STYLES.get(view.state, "bold cyan")), f"  {background.uri}", (attempt, "dim"))
        if background.about:
            yield _text((background.about, "dim"))
        for phrase in background.previous[-3:]:
            yield _text((phrase, "yellow"))
    if figures.message:
        yield _text((printable(figures.message), STATE_STYLES.get(figures.state, "")), wraps=True)


def _body(view: JobView, width: int, now: float) -> Iterator[RenderableType]:
    from rich.table import Table

    yield _bar(view.figures, now)
    curves, resources = [*_curve_rows(view.figures, width)], [*_resource_rows(view, now)]
    if width >= WIDE and curves:
        both = Table.grid(padding=(0, 4))
        both.add_row(_rows(curves), _rows(resources))
        yield both
    elif curves or resources:
        yield _rows([*curves, *resources])
    for concern in concerns(view.figures, view.background, now):
        yield _text(("! ", "bold yellow"), (concern.sentence, "yellow"), wraps=True)


def _bar(figures: Figures, now: float) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    waits = not (figures.total_steps or figures.has_ended)
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(no_wrap=True, style="bold")
    row.add_column(ratio=1)
    row.add_column(no_wrap=True, justify="right")
    total, done = figures.total_steps or 1, figures.step
    bar = ProgressBar(total=total, completed=done, pulse=waits, finished_style="green")
    counted = f"{figures.step}/{figures.total_steps}" if figures.total_steps else ""
    row.add_row(figures.phase, bar, "  ".join(filter(None, (counted, _left(figures, now)))))
    return row


def _left(figures: Figures, now: float) -> str:
    eta_s = figures.eta(now)
    if eta_s is None:
        return ""
    passed = now - (figures.seen_at or now)
    low, high = (duration(max(0.0, value - passed)) for value in figures.range_s or (0.0, 0.0))
    span = f" ({low} to {high})" if figures.range_s and low != high else ""
    return f"ETA {duration(eta_s)}{span}"


Row = tuple[str, str, str]
"""Name, value, and what it is compared with."""


def _curve_rows(figures: Figures, width: int) -> Iterator[Row]:
    columns = (width // 2 if width >= WIDE else width) - 50
    shown = (
        ("loss", "loss", "#.4g"),
        ("held-out loss", "eval_loss", "#.4g"),
        ("reward", "reward", "#.3g"),
        ("learning rate", "learning_rate", ".2e"),
        ("gradient norm", "grad_norm", "#.3g"),
    )
    for words, name, form in shown:
        if (value := figures.newest.get(name)) is not None:
            values = [*figures.curves[name].values()]
            yield words, number(value, form), f"{sparkline(values, max(8, columns))}  {_since(values, name)}".strip()


def _since(values: Sequence[float], name: str) -> str:
    if len(values) < 2:
        return ""
    if name == "eval_loss":
        return f"best {min(values):.4g}"
    return "" if name == "learning_rate" else f"first {values[0]:.3g}"


def _resource_rows(view: JobView, now: float) -> Iterator[Row]:
    figures, background = view.figures, view.background
    if (speed := figures.newest.get("tokens_per_s")) is not None:
        low_high = background.tokens_per_s
        expected = f"estimated {low_high[0]:,.0f} to {low_high[1]:,.0f}" if low_high else ""
        yield "tokens/s", number(speed, ",.0f"), expected
    if (used := figures.newest.get("gpu_memory_gib")) is not None:
        of = f" of {background.usable_gib:.1f}" if background.usable_gib else ""
        expected = f"estimated {background.memory_gib:.1f}" if background.memory_gib else ""
        yield "GPU memory", f"{number(used, '.1f')}{of} GiB", expected
    yield from _money(figures, background, now)
    if figures.checkpoint:
        step, at, seconds, count = figures.checkpoint
        age = f", {duration(max(0.0, now - at))} ago" if at is not None and not figures.has_ended else ""
        yield "checkpoint", f"step {step}{age}", f"{data_size(count)} in {seconds:.1f} s"


def _money(figures: Figures, background: Background, now: float) -> Iterator[Row]:
    cost = cost_now(figures, background, now)
    if cost is None:
        return
    eta_s, budget = figures.eta(now), background.max_cost_usd
    parts = []
    if eta_s is not None and background.usd_per_hour:
        parts.append(f"{cost + background.usd_per_hour * eta_s / 3600:.2f} at the end")
    parts += [f"budget {budget:.2f}"] if budget is not None else []
    yield "cost", f"{cost:.2f} USD", ", ".join(parts)


def _rows(rows: Iterable[Row]) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=13)
    grid.add_column(no_wrap=True)
    grid.add_column(style="cyan", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid


def _tail(lines: Sequence[str]) -> Iterator[RenderableType]:
    from rich.rule import Rule

    if lines:
        yield Rule("log", style="dim", align="left")
        yield from (_text((line, "dim")) for line in lines)


def _text(*parts: str | tuple[str, str], wraps: bool = False) -> Text:
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")


def number(value: MetricValue, form: str) -> str:
    """A metric's value; what is not finite is shown as it is."""
    return format(value, form) if isinstance(value, int | float) else str(value)


# --- several jobs --------------------------------------------------------------------------------------------
HEADINGS: Final = ("JOB", "STATE", "STEP", "LOSS", "", "HELD OUT", "ETA", "COST")
OTHER_COLUMNS: Final = 54
"""Columns of the table beside the job's name and the curve."""
ORDER: Final = ("RUNNING", "FAILED", "PENDING")
"""What is shown first; the other states follow."""


def _many(views: Sequence[JobView], width: int, height: int, now: float) -> Iterator[RenderableType]:
    from rich.table import Table

    grid = Table(box=None, padding=(0, 1, 0, 0), expand=False, header_style="dim")
    for heading in HEADINGS:
        right = heading in ("STEP", "LOSS", "HELD OUT", "ETA", "COST")
        grid.add_column(heading, no_wrap=True, justify="right" if right else "left", overflow="ellipsis")
    wrong = [(view, concern) for view in views for concern in concerns(view.figures, view.background, now)]
    room = max(1, height - min(len(wrong), height // 3) - 3)
    order = sorted(views, key=lambda view: ORDER.index(view.state) if view.state in ORDER else len(ORDER))
    free = max(16, width - OTHER_COLUMNS)
    for view in order[:room]:
        grid.add_row(*_cells(view, free, now))
    yield grid
    if len(order) > room:
        yield _text((f"… and {len(order) - room} more", "dim"))
    for view, concern in wrong[: height // 3]:
        name = view.background.uri.rpartition("/")[2]
        yield _text(("! ", "bold yellow"), (f"{name}: {concern.sentence}", "yellow"))


def _cells(view: JobView, free: int, now: float) -> Iterator[RenderableType]:
    figures = view.figures
    eta_s, cost = figures.eta(now), cost_now(figures, view.background, now)
    yield _shortened(view.background.uri.rpartition("/")[2], free - free // 3)
    yield _text((view.state, STATE_STYLES.get(view.state, "cyan")))
    yield f"{figures.step}/{figures.total_steps}" if figures.total_steps else "-"
    yield number(figures.newest.get("loss", "-"), "#.4g")
    yield _text((sparkline([*figures.curves["loss"].values()], free // 3), "cyan"))
    yield number(figures.newest.get("eval_loss", "-"), "#.4g")
    yield "-" if eta_s is None else duration(eta_s)
    yield "-" if cost is None else f"{cost:.2f}"


def _shortened(name: str, columns: int) -> str:
    """Without its middle if it is too long: label and digest tell jobs apart."""
    if len(name) <= columns:
        return name
    return f"{name[: columns - 9]}…{name[-8:]}"
