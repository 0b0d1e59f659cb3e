"""How many processes of this container the kernel has killed because memory ran out."""

from __future__ import annotations

from pathlib import Path

COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),  # cgroup v2, inside a container
    Path("/sys/fs/cgroup/memory/memory.oom_control"),  # cgroup v1
    Path("/proc/vmstat"),  # the whole machine
)


def oom_kills() -> int:
    """The sum of the kernel's `oom_kill` counters; only its increase is meaningful."""
    return sum(map(_oom_kills, COUNTERS))


def _oom_kills(path: Path) -> int:
    try:
        words = path.read_text("ascii").split()
    except OSError:
        return 0
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0
