"""The trainer's whole family of processes: started apart from ours, found again wherever it went, ended for certain.

A process group is not enough: torchrun gives every worker a session of its own, and data loaders and loggers start
processes too. What they all share is an inherited environment variable, so the family is everything on this machine
that carries our token there, plus the trainer's process group. Without /proc (macOS) it is the group alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

ENV_FAMILY = "FTSDK_FAMILY"
PROC = Path("/proc").is_dir()
GONE_WITHIN_S = 10.0
POLL_S = 0.01
DISMISSED = b"dismissed"


class Family:
    """The trainer and everything that it starts."""

    def __init__(self) -> None:
        self.token = os.urandom(8).hex()
        self._mark = f"{ENV_FAMILY}={self.token}\0".encode()
        self.ended: dict[int, int] = {}
        """Wait status of every child that was collected, by process id."""

    def start(self, argv: list[str], environment: Mapping[str, str], output: int) -> int:
        """Start the trainer in a session of its own, stdout and stderr both to `output`; returns its process id."""
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            return os.posix_spawnp(
                argv[0],
                argv,
                {**environment, ENV_FAMILY: self.token},
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
        """Process ids of all that carry the token; empty where there is no /proc."""
        found = []
        for name in os.listdir("/proc") if PROC else ():  # noqa: PTH208 - a Path for each process costs ten times more
            if name.isdecimal():
                with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb", 0) as file:  # noqa: PTH123
                    if self._mark in file.read():
                        found.append(int(name))
        return found

    def kill(self, leader: int) -> None:
        """SIGKILL to all of it, again and again until nothing is left (new ones may be born in between)."""
        deadline = time.monotonic() + GONE_WITHIN_S
        if leader:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
        while (members := self.members()) and time.monotonic() < deadline:
            for pid in members:
                send(pid, signal.SIGKILL)
            self.reap()
            time.sleep(POLL_S)

    def reap(self) -> None:
        """Collect ended children, also adopted ones: we may be PID 1."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self.ended[pid] = status


def send(pid: int, number: int) -> None:
    """Signal a process that may have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


class Guard:
    """A process that outlives a killed supervisor for one purpose: to end the family.

    It waits on a pipe that only the supervisor holds open. PID 1 needs none: the kernel ends its whole namespace.
    Being a fork, it also keeps the supervisor's inherited descriptors, such as a launcher's lock, until it is done.
    """

    def __init__(self, family: Family) -> None:
        self.pid = 0
        self._write = -1
        if os.getpid() != 1:
            read, self._write = os.pipe()
            self.pid = os.fork()
            if not self.pid:
                os.close(self._write)
                _watch(read, family)
            os.close(read)

    def tell(self, leader: int) -> None:
        """The trainer's process id, once there is one; the last one counts."""
        self._say(b"%d\n" % leader)

    def dismiss(self) -> None:
        """The family is gone: no need to watch."""
        self._say(DISMISSED)
        if self.pid:
            os.close(self._write)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0

    def _say(self, words: bytes) -> None:
        if self.pid:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._write, words)


def _watch(read: int, family: Family) -> None:
    """The guard's whole life. Never returns."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    said = b""
    while piece := os.read(read, 64):
        said += piece
    last = (said.split() or [b"0"])[-1]
    if last != DISMISSED:
        family.kill(int(last))
    os._exit(0)
