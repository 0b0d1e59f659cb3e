"""Memory and scratch disk of this node."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ftsdk.contract.documents import NodeFinding

LEAST_MEMORY_GB, LEAST_DISK_MB_S = 2.0, 30.0
"""Below these a training is likely to fail, or to be slower than its disk explains."""
TEST_BYTES, PIECE_BYTES = 8 << 20, 1 << 20
GB, MB = 1e9, 1e6
MEMORY, LIMIT, USED = (
    Path("/proc/meminfo"),
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory.current"),
)


def memory() -> NodeFinding:
    """Memory that is free for this container."""
    free_gb = _free_bytes() / GB
    problem = f"only {free_gb:.1f} GB of memory are free" if free_gb < LEAST_MEMORY_GB else ""
    return NodeFinding(check="memory", value=f"{free_gb:.1f} GB free", problem=problem, is_fatal=False)


def _free_bytes() -> float:
    lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
    free = float(lines["MemAvailable"].split()[0]) * 1024
    try:
        return min(free, float(LIMIT.read_text()) - float(USED.read_text()))
    except (OSError, ValueError):  # no cgroup v2, or no limit ("max")
        return free


def disk(scratch: Path) -> NodeFinding:
    """Writing speed of the scratch disk, flushed."""
    path = scratch / "node-check"
    began = time.monotonic()
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(TEST_BYTES // PIECE_BYTES):
                file.write(b"\1" * PIECE_BYTES)
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)
    speed = TEST_BYTES / MB / max(time.monotonic() - began, 1e-6)
    problem = f"the scratch disk writes only {speed:.0f} MB/s" if speed < LEAST_DISK_MB_S else ""
    return NodeFinding(check="disk", value=f"{speed:.0f} MB/s", problem=problem, is_fatal=False)
