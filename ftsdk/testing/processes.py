"""Processes of this machine as others see them, for conformance tests and fault injection."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from ftsdk import contract


def command_lines() -> str:
    """The command lines of all processes of this machine, which every user can read."""
    argv = ["ps", "-A", "-ww", "-o", "args="]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def job_processes(name: str) -> list[int]:
    """Ids of a job's processes on this machine, also those in containers. Linux only.

    Every process of a job inherits the environment variable that holds the attempt's native name.
    """
    mark = f"{contract.ENV_NATIVE_NAME}={name}-a".encode()
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # another user's, or ended meanwhile
            if mark in path.read_bytes():
                pids.append(int(path.parent.name))
    return pids


def kill_supervisor(name: str) -> None:
    """Send SIGKILL to a job's supervisors on this machine. Raises ProcessLookupError if none runs. Linux only."""
    supervisors = [process for process in job_processes(name) if _is_supervisor(process)]
    if not supervisors:
        raise ProcessLookupError(f"No supervisor of job {name} runs on this machine.")
    for process in supervisors:
        os.kill(process, signal.SIGKILL)


def _is_supervisor(process: int) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return False
    return words[-1] == b"supervise"
