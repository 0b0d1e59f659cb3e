"""Runs the trainer: reads all of its output, forwards a stop request to it, and kills what is left of its processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ftsdk.runtime import worker_protocol
from ftsdk.runtime.supervisor.signals import Signals
from ftsdk.runtime.supervisor.trainer.process_tree import ProcessTree, send

CHUNK_BYTES = 1 << 20
ROUND_MS = 1000
LAST_OUTPUT_TIMEOUT_S = 2.0
"""How long output is read after the whole process tree has been killed."""
NODE_FAILURE_GRACE_S = 20.0
UNKILLABLE_S = 30.0
"""How long after SIGKILL a process is waited for."""
TRAINER_SHARE, SUPERVISOR_SHARE = 0.8, 0.95
"""Fractions of the grace after which the trainer is killed, and after which publishing is abandoned."""


class TrainerProcess:
    """One start of the trainer."""

    def __init__(
        self,
        process_tree: ProcessTree,
        signals: Signals,
        run_folder: Path,
        *,
        workers: int,
        grace_s: float,
        limits_s: Mapping[str, float | None],
    ) -> None:
        self.stopped = ""
        """Why a stop was requested: `signal`, a limit's name, `hang`, or `node` after another node's failure; else
        empty."""
        self.workers = workers
        self._kill_at = 0.0
        self._publish_until: float | None = None
        self._process_tree, self._signals = process_tree, signals
        self._run_folder, self._grace_s = run_folder, grace_s
        now = time.monotonic()
        self._ends_at = {name: now + limit for name, limit in limits_s.items() if limit is not None}
        self._killed_at: float | None = None

    def run(
        self,
        argv: list[str],
        environment: Mapping[str, str],
        *,
        on_start: Callable[[int], None],
        on_output: Callable[[bytes], None],
        on_events: Callable[[bytes], None],
        on_round: Callable[[], None],
    ) -> int:
        """Run to the end; returns the wait status.

        Args:
            argv: the command line.
            environment: all of its variables.
            on_start: called with the trainer's process id.
            on_output: called with each chunk of its stdout and stderr.
            on_events: called with each chunk of its pipe for events.
            on_round: called at least once a second.
        """
        events = worker_protocol.open_events(self._run_folder)
        read, write = os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, CHUNK_BYTES)  # fewer switches between trainer and supervisor
        pid = self._process_tree.start(argv, environment, write)
        os.close(write)
        on_start(pid)
        try:
            self._follow(pid, {read: on_output, events: on_events}, on_round)
            _drain(events, on_events)
        finally:
            self._process_tree.kill(pid)
            os.close(read)
            os.close(events)
        return self._process_tree.wait_statuses.get(pid, signal.SIGKILL)  # missing: it cannot be killed

    def time_left_s(self) -> float | None:
        """Seconds left for publishing, None without a deadline. A signal may also arrive after the trainer's end."""
        if self._publish_until is None and self._signals.stopped_at is not None:
            self._publish_until = self._signals.stopped_at + self._grace_s * SUPERVISOR_SHARE
        return None if self._publish_until is None else self._publish_until - time.monotonic()

    def stop_for_node_failure(self) -> None:
        """Let the trainer detect the lost node by itself and exit in order, and kill it after a grace."""
        if not self.stopped:
            self._stop("node", time.monotonic(), NODE_FAILURE_GRACE_S)

    def kill_hung(self) -> None:
        """Have the trainer killed at once: it answers no request."""
        self._stop("hang", time.monotonic(), self._grace_s)
        self._kill_at = time.monotonic()

    def _follow(self, pid: int, readers: dict[int, Callable[[bytes], None]], on_round: Callable[[], None]) -> None:
        poll = select.poll()
        for descriptor in (*readers, self._signals.descriptor):
            poll.register(descriptor, select.POLLIN)
        output_open, last_output = True, 0.0
        ended = self._process_tree.wait_statuses
        while (output_open or pid not in ended) and not self._cannot_be_killed():
            for descriptor, _ in poll.poll(ROUND_MS):
                if descriptor == self._signals.descriptor:
                    self._signals.drain()
                elif data := os.read(descriptor, CHUNK_BYTES):
                    readers[descriptor](data)
                else:  # the pipe for events never ends
                    poll.unregister(descriptor)
                    output_open = False
            self._process_tree.reap()
            on_round()
            self._stop_if_due(pid)
            if pid in ended and output_open:  # a child of the trainer still holds its output
                last_output = last_output or time.monotonic() + LAST_OUTPUT_TIMEOUT_S
                self._process_tree.kill(pid)
                output_open = time.monotonic() < last_output

    def _stop_if_due(self, pid: int) -> None:
        now = time.monotonic()
        if not self.stopped:
            if self._signals.stopped_at is not None:
                self._stop("signal", self._signals.stopped_at, self._grace_s)
            elif reached := [name for name, ends_at in self._ends_at.items() if now >= ends_at]:
                self._stop(reached[0], now, self._grace_s)
            if self.stopped:
                self._terminate(pid)
        elif self._killed_at is None and now >= self._kill_at:
            self._killed_at = now
            self._process_tree.kill(pid)

    def _cannot_be_killed(self) -> bool:
        """A process that waits for a dead mount stays; the attempt must end without it."""
        return self._killed_at is not None and time.monotonic() > self._killed_at + UNKILLABLE_S

    def _stop(self, reason: str, at: float, grace_s: float) -> None:
        self.stopped = reason
        self._kill_at = at + grace_s * TRAINER_SHARE
        self._publish_until = at + grace_s * SUPERVISOR_SHARE

    def _terminate(self, pid: int) -> None:
        """Send SIGTERM to the registered workers alone, or to the process group if not all have registered.

        torchrun would start its own shutdown, and a data loader's process that SIGTERM ends makes its rank fail in the
        middle of the save.
        """
        members = set(self._process_tree.members())
        registered = [worker for worker in worker_protocol.registered(self._run_folder).values() if worker in members]
        for worker in registered:
            send(worker, signal.SIGTERM)
        if len(registered) < max(self.workers, 1):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)


def _drain(descriptor: int, on_data: Callable[[bytes], None]) -> None:
    """Read what is left in a pipe that does not block."""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(descriptor, CHUNK_BYTES):
            on_data(data)
