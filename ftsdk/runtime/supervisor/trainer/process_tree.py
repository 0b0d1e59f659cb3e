"""The trainer's process tree: started separately from the supervisor's, listed, and ended completely.

A process group is not enough: torchrun starts every worker in a new session, and data loaders and loggers start
processes too. All of them inherit an environment variable, so the tree is every process on this machine whose
environment holds our token, plus the trainer's process group. Without /proc (macOS) it is the group alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ENV_PROCESS_TREE = "FTSDK_PROCESS_TREE"
PROC = Path("/proc").is_dir()
KILL_TIMEOUT_S = 10.0
POLL_S = 0.01
DISMISSED = b"dismissed"
_DIES_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9)\n"  # PR_SET_PDEATHSIG, SIGKILL; kept over exec
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"  # it was killed before the call above
    "os.execvp(sys.argv[2], sys.argv[2:])"
)
"""A program that becomes the trainer, which the kernel ends with the supervisor, even without the watchdog."""


class ProcessTree:
    """The trainer and every process that it starts."""

    def __init__(self) -> None:
        self.token = os.urandom(8).hex()
        self._mark = f"{ENV_PROCESS_TREE}={self.token}\0".encode()
        self.wait_statuses: dict[int, int] = {}
        """Wait status of every child that was reaped, by process id."""

    def start(self, argv: list[str], environment: Mapping[str, str], output: int) -> int:
        """Start the trainer in a session of its own, stdout and stderr both to `output`; returns its process id."""
        null = os.open(os.devnull, os.O_RDONLY)
        if sys.platform == "linux":
            argv = [sys.executable, "-SE", "-c", _DIES_WITH_PARENT, str(os.getpid()), *argv]
        try:
            return os.posix_spawnp(
                argv[0],
                argv,
                {**environment, ENV_PROCESS_TREE: self.token},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGTERM, signal.SIGINT],
                setsigmask=[],
            )
        finally:
            os.close(null)

    def members(self) -> list[int]:
        """Process ids of all processes that carry the token; empty where there is no /proc."""
        return _with_variable(self._mark)

    def end_survivors(self, name: str, value: str) -> tuple[list[int], list[int]]:
        """Kill the processes whose environment has this variable, such as the trainer of a previous attempt.

        Returns their ids, and the ids of those that cannot be killed. Call it before a trainer is started.
        """
        mark = f"{name}={value}\0".encode()
        survivors = _with_variable(mark)
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while (left := _with_variable(mark)) and time.monotonic() < deadline:
            for pid in left:
                send(pid, signal.SIGKILL)
            self.reap()
            time.sleep(POLL_S)
        return survivors, left

    def kill(self, leader: int) -> None:
        """Send SIGKILL repeatedly until no process is left: new ones may start in between."""
        deadline = time.monotonic() + KILL_TIMEOUT_S
        if leader:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
        while (members := self.members()) and time.monotonic() < deadline:
            for pid in members:
                send(pid, signal.SIGKILL)
            self.reap()
            time.sleep(POLL_S)

    def reap(self) -> None:
        """Reap ended children, including adopted ones: the supervisor may be PID 1."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self.wait_statuses[pid] = status


def _with_variable(mark: bytes) -> list[int]:
    pids = []
    for name in os.listdir("/proc") if PROC else ():  # noqa: PTH208 - a Path for each process costs ten times more
        if name.isdecimal() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb", 0) as file:  # noqa: PTH123
                if mark in file.read():
                    pids.append(int(name))
    return pids


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


class Watchdog:
    """A process that ends the process tree if the supervisor is killed.

    It waits on a pipe that only the supervisor holds open. PID 1 needs none: the kernel ends its whole namespace.
    Being a fork, it also keeps the supervisor's inherited descriptors, such as a launcher's lock, until it exits.
    """

    def __init__(self, process_tree: ProcessTree) -> None:
        self.pid = 0
        self._write = -1
        if os.getpid() != 1:
            read, self._write = os.pipe()
            self.pid = os.fork()
            if not self.pid:
                os.close(self._write)
                _run_watchdog(read, process_tree)
            os.close(read)

    def set_leader(self, pid: int) -> None:
        """Set the trainer's process id; the last one set is used."""
        self._send(b"%d\n" % pid)

    def dismiss(self) -> None:
        """End the watchdog: no process of the tree is left."""
        self._send(DISMISSED)
        if self.pid:
            os.close(self._write)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0

    def _send(self, message: bytes) -> None:
        if self.pid:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._write, message)


def _run_watchdog(read: int, process_tree: ProcessTree) -> None:
    """The main function of the watchdog process. Never returns."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    received = b""
    while chunk := os.read(read, 64):
        received += chunk
    last = (received.split() or [b"0"])[-1]
    if last != DISMISSED:
        process_tree.kill(int(last))
    os._exit(0)
