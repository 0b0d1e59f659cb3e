"""The trainer's run: reads its output to the last byte, passes a stop on to it, and ends whatever is left of it."""

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
from ftsdk.runtime.supervisor.process_tree import Family, send
from ftsdk.runtime.supervisor.signals import Signals

CHUNK_BYTES = 1 << 20
ROUND_MS = 1000
LAST_OUTPUT_S = 2.0
"""How long output may still come after the whole family has been killed."""
PEER_GRACE_S = 20.0
TRAINER_SHARE, SUPERVISOR_SHARE = 0.8, 0.95
"""Parts of the grace after which the trainer is killed, and after which publishing is given up."""


class Trainer:
    """One start of the trainer."""

    def __init__(
        self,
        family: Family,
        signals: Signals,
        run_folder: Path,
        *,
        workers: int,
        grace_s: float,
        limits_s: Mapping[str, float | None],
    ) -> None:
        self.stopped = ""
        """`signal` or a limit's name once it was asked to stop, `peer` once it was given up."""
        self._kill_at = 0.0
        self._publish_until: float | None = None
        self._family, self._signals = family, signals
        self._run_folder, self._workers, self._grace_s = run_folder, workers, grace_s
        now = time.monotonic()
        self._ends_at = {why: now + limit for why, limit in limits_s.items() if limit is not None}
        self._killed = False

    def run(
        self,
        argv: list[str],
        environment: Mapping[str, str],
        *,
        on_start: Callable[[int], None],
        on_output: Callable[[bytes], None],
        on_round: Callable[[], None],
    ) -> int:
        """Run to the end; returns the wait status. `on_round` is called at least once a second."""
        read, write = os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, CHUNK_BYTES)  # fewer switches between trainer and supervisor
        pid = self._family.start(argv, environment, write)
        os.close(write)
        on_start(pid)
        try:
            self._follow(pid, read, on_output, on_round)
        finally:
            self._family.kill(pid)
            os.close(read)
        return self._family.ended[pid]

    def time_left_s(self) -> float | None:
        """Seconds left for publishing, None if nobody is in a hurry. A signal may also come after the trainer's end."""
        if self._publish_until is None and self._signals.stopped_at is not None:
            self._publish_until = self._signals.stopped_at + self._grace_s * SUPERVISOR_SHARE
        return None if self._publish_until is None else self._publish_until - time.monotonic()

    def give_up(self) -> None:
        """Another node is gone: ours may notice by itself and leave in order, but not wait for it for ever."""
        if not self.stopped:
            self._stop("peer", time.monotonic(), PEER_GRACE_S)

    def _follow(self, pid: int, read: int, on_output: Callable[[bytes], None], on_round: Callable[[], None]) -> None:
        poll = select.poll()
        poll.register(read, select.POLLIN)
        poll.register(self._signals.descriptor, select.POLLIN)
        output_open, last_output = True, 0.0
        while output_open or pid not in self._family.ended:
            for descriptor, _ in poll.poll(ROUND_MS):
                if descriptor == self._signals.descriptor:
                    self._signals.drain()
                elif data := os.read(read, CHUNK_BYTES):
                    on_output(data)
                else:
                    poll.unregister(read)
                    output_open = False
            self._family.reap()
            on_round()
            self._stop_if_due(pid)
            if pid in self._family.ended and output_open:  # a child of the trainer still holds its output
                last_output = last_output or time.monotonic() + LAST_OUTPUT_S
                self._family.kill(pid)
                output_open = time.monotonic() < last_output

    def _stop_if_due(self, pid: int) -> None:
        now = time.monotonic()
        if not self.stopped:
            if self._signals.stopped_at is not None:
                self._stop("signal", self._signals.stopped_at, self._grace_s)
            elif over := [why for why, ends_at in self._ends_at.items() if now >= ends_at]:
                self._stop(over[0], now, self._grace_s)
            if self.stopped:
                self._ask(pid)
        elif not self._killed and now >= self._kill_at:
            self._killed = True
            self._family.kill(pid)

    def _stop(self, why: str, at: float, grace_s: float) -> None:
        self.stopped = why
        self._kill_at = at + grace_s * TRAINER_SHARE
        self._publish_until = at + grace_s * SUPERVISOR_SHARE

    def _ask(self, pid: int) -> None:
        """SIGTERM. Workers that registered get it themselves, and alone: torchrun would start its own shutdown, and a

        data loader's process that dies of it takes its rank down in the middle of the save.
        """
        members = set(self._family.members())
        wishers = [worker for worker in worker_protocol.registered(self._run_folder) if worker in members]
        for worker in wishers:
            send(worker, signal.SIGTERM)
        if len(wishers) < max(self._workers, 1):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)
