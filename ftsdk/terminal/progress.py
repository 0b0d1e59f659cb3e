"""Progress of a running job: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from ftsdk import contract
from ftsdk.contract.lines import MetricValue
from ftsdk.errors import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

PLAIN_INTERVAL_S = 10.0
"""Seconds between two plain lines while nothing but the loss changes."""
REFRESHES_PER_S = 4


class JobProgress:
    """Shows a job's events on a stream, standard error by default.

        with JobProgress() as progress:
            for event in job.events(follow=True):
                progress.event(event)

    On a terminal: one line with a bar, step, ETA and one with the losses, redrawn in place. Elsewhere: a plain line at
    every phase, evaluation and checkpoint, and every `interval_s` seconds between them.
    """

    def __init__(self, stream: TextIO | None = None, *, interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._stream = stream or sys.stderr
        self._interval_s = interval_s
        self._state = _State()
        self._live: Live | None = None
        self._last_plain = -math.inf

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._live = _start_live(self._stream, self._state)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def event(self, event: contract.Event) -> None:
        """Show one event of `ftsdk.contract`; unknown kinds are ignored."""
        kind = event.get("event")
        if kind == contract.EVENT_METRICS:
            self._state.take(event)
            self._show_plain(at_once="eval_loss" in event)
        elif kind == contract.EVENT_PHASE:
            self.phase(str(event["phase"]))
        elif kind == contract.EVENT_COMMIT:
            self.line(f"checkpoint of step {event['step']} is safe ({_size(event['bytes'])}, {event['seconds']:.1f} s)")
        elif kind == contract.EVENT_OUTCOME:
            self._state.end(str(event["state"]))
            self.line(" ".join(filter(None, (event["state"], event.get("message"), event.get("hint")))))

    def phase(self, words: str) -> None:
        """Show the present phase."""
        self._state.phase = words
        if not self._live:
            self.line(words)

    def line(self, text: str) -> None:
        """Show a line, above the bar if there is one."""
        text = printable(text)
        if not self._live:
            self._stream.write(text + "\n")
            self._stream.flush()
            return
        from rich.text import Text

        self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def _show_plain(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not self._live and (at_once or now - self._last_plain >= self._interval_s):
            self._last_plain = now
            self.line("  ".join(self._state.words()))


@dataclass(slots=True)
class _State:
    """The newest value of each figure."""

    phase: str = "starting"
    step: int = 0
    total_steps: int = 0
    loss: MetricValue = None
    eval_loss: MetricValue = None
    reward: MetricValue = None
    learning_rate: MetricValue = None
    tokens_per_s: MetricValue = None
    eta_s: float | None = None
    eta_taken_at: float = 0.0
    ended: bool = False

    def take(self, event: contract.Event) -> None:
        for name in ("step", "total_steps", "loss", "eval_loss", "reward", "learning_rate", "tokens_per_s"):
            if event.get(name) is not None:
                setattr(self, name, event[name])
        if isinstance(eta_s := event.get("eta_s"), int | float):
            self.eta_s, self.eta_taken_at = eta_s, time.monotonic()

    def end(self, state: str) -> None:
        self.phase, self.ended, self.eta_s = state.lower(), True, None

    def words(self) -> list[str]:
        """The parts of a plain line: `training  step 120/800  loss 5.21  …`."""
        step = [f"step {self.step}/{self.total_steps}"] if self.total_steps else []
        eta = [f"ETA {self.eta}"] if self.eta else []
        return [self.phase, *step, *self.figures(), *eta]

    def figures(self) -> list[str]:
        """The trainer's figures that are known."""
        shown = (
            ("loss", self.loss, "#.4g", ""),
            ("held-out loss", self.eval_loss, "#.4g", ""),
            ("reward", self.reward, "#.3g", ""),
            ("lr", self.learning_rate, ".2e", ""),
            ("", self.tokens_per_s, ",.0f", " tokens/s"),
        )
        return [
            f"{name} {_number(value, form)}{unit}".strip() for name, value, form, unit in shown if value is not None
        ]

    @property
    def eta(self) -> str:
        """Time left by now, or an empty string where it is unknown."""
        if self.eta_s is None:
            return ""
        return duration(max(0.0, self.eta_s - (time.monotonic() - self.eta_taken_at)))

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        waits = not (self.total_steps or self.ended)
        bar = ProgressBar(total=self.total_steps or 1, completed=self.step, pulse=waits, finished_style="green")
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(no_wrap=True, style="bold")
        row.add_column(ratio=1)
        row.add_column(no_wrap=True, justify="right")
        counted = f"{self.step}/{self.total_steps}" if self.total_steps else ""
        row.add_row(self.phase, bar, "  ".join(filter(None, (counted, f"ETA {self.eta}" if self.eta else ""))))
        return Group(row, Text("  ".join(self.figures()), style="dim", no_wrap=True, overflow="ellipsis"))


def duration(seconds: float) -> str:
    """`45s`, `2m05s` or `1h02m`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _start_live(stream: TextIO, state: _State) -> Live:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, highlight=False)
    live = Live(
        state, console=console, refresh_per_second=REFRESHES_PER_S, redirect_stdout=False, redirect_stderr=False
    )
    live.start()
    return live


def _number(value: MetricValue, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else str(value)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


@contextmanager
def byte_bar(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr; yields a function to call with the number of bytes just transferred."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total_bytes)
        yield lambda done: progress.advance(task, done)
