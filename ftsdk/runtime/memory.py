"""How often the kernel killed a process of this container for memory."""

from __future__ import annotations

from pathlib import Path

COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),  # cgroup v2, inside a container
    Path("/sys/fs/cgroup/memory/memory.oom_control"),  # cgroup v1
)


def oom_kills() -> int:
    """The kernel's counter `oom_kill`; 0 where it is not to be had."""
    for path in COUNTERS:
        try:
            words = path.read_text("ascii").split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return 0
