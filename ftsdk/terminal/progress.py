"""Progress of a running job: the live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from ftsdk import contract
from ftsdk.errors import printable
from ftsdk.terminal.figures import Background, Figures, concerns
from ftsdk.terminal.screen import JobView, Screen, data_size, duration, number

if TYPE_CHECKING:
    from rich.live import Live

PLAIN_INTERVAL_S = 10.0
"""Seconds between two plain lines while nothing but the loss changes."""
REFRESHES_PER_S = 4


class JobProgress:
    """Shows a job's events on a stream, standard error by default.

        with JobProgress() as progress:
            for event in job.events(follow=True):
                progress.event(event)

    On a terminal: the live view of `ftsdk.terminal.screen`, redrawn in place. Elsewhere: a plain line at every phase,
    evaluation, checkpoint and concern, and every `interval_s` seconds between them, each after `prefix`.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        background: Background | None = None,
        interval_s: float = PLAIN_INTERVAL_S,
        prefix: str = "",
    ) -> None:
        self._stream = stream or sys.stderr
        self._interval_s = interval_s
        self._prefix = prefix
        self.view = JobView(background or Background())
        self._live: Live | None = None
        self._last_plain = -math.inf
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._live = start_live(self._stream, [self.view])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def share(self, live: Live) -> None:
        """Draw on a live view that others draw on, too; its creator stops it."""
        self._live = live

    def event(self, event: contract.Event) -> None:
        """Show one event of `ftsdk.contract`; unknown kinds are ignored."""
        now = time.time()
        self.view.take(event, now)
        if self._live:
            return
        kind = event.get("event")
        if kind == contract.EVENT_METRICS:
            self._plain_metrics(now, at_once="eval_loss" in event)
        elif kind == contract.EVENT_PHASE:
            self.line(str(event["phase"]))
        elif kind == contract.EVENT_COMMIT:
            took = f"{data_size(event['bytes'])}, {event['seconds']:.1f} s"
            self.line(f"checkpoint of step {event['step']} is safe ({took})")
        elif kind == contract.EVENT_OUTCOME:
            self.line(" ".join(filter(None, (event["state"], event.get("message"), event.get("hint")))))

    def phase(self, words: str) -> None:
        """Show the present phase."""
        self.view.figures.phase = words
        if not self._live:
            self.line(words)

    def log(self, text: str) -> None:
        """Show a line of the job's own output: at the end of the live view, nowhere else."""
        self.view.write(text)

    def line(self, text: str) -> None:
        """Show a line, above the live view if there is one."""
        text = printable(text)
        if not self._live:
            self._stream.write(f"{self._prefix}{text}\n")
            self._stream.flush()
            return
        from rich.text import Text

        self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def _plain_metrics(self, now: float, *, at_once: bool) -> None:
        for concern in concerns(self.view.figures, self.view.background, now):
            if concern.kind not in self._warned:
                self._warned.add(concern.kind)
                self.line(f"Warning: {concern.sentence}")
        if at_once or time.monotonic() - self._last_plain >= self._interval_s:
            self._last_plain = time.monotonic()
            self.line("  ".join(_words(self.view.figures, now)))


def start_live(stream: TextIO, views: Sequence[JobView], *, is_table: bool = False) -> Live:
    """Begin to draw the views on a terminal, several times a second, until `stop()` is called."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, highlight=False)
    live = Live(
        Screen(views, is_table=is_table),
        console=console,
        refresh_per_second=REFRESHES_PER_S,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live


def _words(figures: Figures, now: float) -> Iterator[str]:
    """The parts of a plain line: `training  step 120/800  loss 5.21  …`."""
    yield figures.phase
    if figures.total_steps:
        yield f"step {figures.step}/{figures.total_steps}"
    shown = (
        ("loss ", "loss", "#.4g", ""),
        ("held-out loss ", "eval_loss", "#.4g", ""),
        ("reward ", "reward", "#.3g", ""),
        ("lr ", "learning_rate", ".2e", ""),
        ("", "tokens_per_s", ",.0f", " tokens/s"),
    )
    for before, name, form, unit in shown:
        if (value := figures.newest.get(name)) is not None:
            yield f"{before}{number(value, form)}{unit}"
    if (eta_s := figures.eta(now)) is not None:
        yield f"ETA {duration(eta_s)}"


@contextmanager
def byte_bar(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr; yields a function to call with the number of bytes just transferred."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total_bytes)
        yield lambda done: progress.advance(task, done)
