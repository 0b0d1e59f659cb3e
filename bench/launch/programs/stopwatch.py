"""What the measured programs share: a stopwatch, the peak of memory, and the answer to the benchmark.

These programs run in the peers' environments, each a script of its own with this folder as its import path.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

SETTLE_S = 0.2
"""A job's processes may end a moment after their job; their processor time counts too."""

Run = tuple[float, float]
"""Seconds on the clock and of processor."""


def timed(call: Callable[[], object]) -> Run:
    """One run of a call; the children that it leaves are given a moment to be collected."""
    before, began = _cpu_s(), time.perf_counter()
    call()
    wall_s = time.perf_counter() - began
    time.sleep(SETTLE_S)
    return wall_s, _cpu_s() - before


def answer(runs: list[Run], note: str = "") -> None:
    """Report to the benchmark, as the last line of stdout."""
    sys.stdout.write("\n" + json.dumps({"runs": runs, "note": note}) + "\n")


def counted(open_lines: Callable[[], Iterable[str]]) -> tuple[list[Run], str]:
    """Open a log and go through it to its end: the time, and how many lines there were at what peak of memory."""
    number = 0

    def read() -> None:
        nonlocal number
        for _ in open_lines():
            number += 1

    run = timed(read)
    return [run], f"{number:,} lines, peak {peak_mb():.0f} MB"


def peak_mb() -> float:
    """Most memory that this process ever had, in 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of a young process may be its parent's
        high = next(line for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM"))
        return int(high.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def use_bucket(url: str) -> None:
    """AWS is at this address, with keys that are not checked."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-west-2"}
    os.environ |= {**keys, "AWS_ENDPOINT_URL": url}


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
