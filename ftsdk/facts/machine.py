"""This machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ftsdk.facts.facts import MachineFacts


def inspect_machine() -> MachineFacts:
    """Platform, Python and GPUs of this machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    return MachineFacts(
        platform=sys.platform, python=version, accelerators=_nvidia_gpus(), memory_gib=_main_memory_gib()
    )


def _main_memory_gib() -> float | None:
    if not hasattr(os, "sysconf"):  # Windows
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _nvidia_gpus() -> tuple[str, ...]:
    """GPU names from nvidia-smi; called only where a driver is installed, because it takes a while."""
    program = shutil.which("nvidia-smi")
    if program is None or (sys.platform == "linux" and not Path("/dev/nvidiactl").exists()):
        return ()
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in output.stdout.splitlines() if line.strip())
