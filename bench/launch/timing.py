"""Timing of whole programs, and what a measurement comes to."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO


@dataclass(frozen=True, slots=True)
class Timing:
    """One run: seconds on the clock, and seconds of processor that it and its waited-for children used."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one program did in one measurement; a table's line."""

    who: str
    runs: tuple[Timing, ...] = ()
    value: float | None = None
    """The figure itself where it is no time."""
    note: str = ""

    @property
    def wall_s(self) -> float:
        """Median over the runs."""
        return median(run.wall_s for run in self.runs)

    @property
    def best_s(self) -> float:
        """Wall seconds of the quickest run: what a busy machine still lets one see of a quiet one."""
        return min(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        """Median over the runs."""
        return median(run.cpu_s for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing measured over several programs."""

    title: str
    about: str
    """What was done, in a sentence or two."""
    rows: tuple[Row, ...]
    unit: str = "s"
    target: str = ""
    """What ftsdk has set itself, in words; empty if nothing."""
    load: float = 0.0
    """The machine's load average (one minute) when it was over."""


def process(
    argv: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    *,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Timing:
    """Run a program to its end, its output thrown away unless it has a place. Raises CalledProcessError."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
    wall_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Timing(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def in_turn(runs: int, programs: Mapping[str, Callable[[], Timing]]) -> tuple[Row, ...]:
    """Every program `runs` times, in turn, so that a busy moment of the machine meets all of them alike."""
    found: dict[str, list[Timing]] = {name: [] for name in programs}
    for run in programs.values():
        run()  # reads files into the page cache and lets Python keep its bytecode
    for _ in range(runs):
        for name, run in programs.items():
            found[name].append(run())
    return tuple(Row(who=name, runs=tuple(timings)) for name, timings in found.items())


def load() -> float:
    """Load average over the last minute."""
    return os.getloadavg()[0]
