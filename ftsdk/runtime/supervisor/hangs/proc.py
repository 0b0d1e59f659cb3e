"""What /proc says about the processes of the trainer. Without /proc (macOS) nothing is known."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ftsdk.runtime.worker_protocol import STACKS_SIGNAL

STOPPED = "T"
BUSY_SHARE = 0.05
"""Share of one core; torchrun's agent polls its workers with less."""
BUSY_BYTES_PER_S = 1 << 16


class ProcessState(NamedTuple):
    """One process at one moment."""

    state: str
    """The kernel's letter: R, S, D (waits for a device or a mount), T (stopped) …"""
    parent: int
    cpu_s: float


def process_state(pid: int) -> ProcessState | None:
    """None if the process has ended or nothing is known about it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    return ProcessState(fields[0], int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"))


def handles_stacks_signal(pid: int) -> bool:
    """Whether the process has a handler for `STACKS_SIGNAL`: another one would be ended by it."""
    try:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return False
    return caught is not None and bool(int(caught[1], 16) >> (STACKS_SIGNAL - 1) & 1)


def waits_in(pid: int) -> str:
    """The kernel function in which the process waits; empty if the kernel does not say."""
    try:
        return Path(f"/proc/{pid}/wchan").read_text().strip("0\n")
    except OSError:
        return ""


class Activity:
    """Whether the trainer's processes compute, read or write between two calls."""

    def __init__(self) -> None:
        self._last: tuple[float, float, int] | None = None

    def is_busy(self, pids: Sequence[int], now: float) -> bool:
        """Whether they have done something since the previous call; True at the first one."""
        states = [state for pid in pids if (state := process_state(pid))]
        current = now, sum(state.cpu_s for state in states), sum(map(_moved_bytes, pids))
        previous, self._last = self._last, current
        if previous is None:
            return True
        elapsed_s, cpu_s, moved = (after - before for after, before in zip(current, previous, strict=True))
        return cpu_s > BUSY_SHARE * elapsed_s or moved > BUSY_BYTES_PER_S * elapsed_s or cpu_s < 0


def _moved_bytes(pid: int) -> int:
    try:
        counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    except OSError:
        return 0
    return int(counts["rchar"]) + int(counts["wchar"])
