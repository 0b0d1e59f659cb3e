"""Heartbeats of a trainer process: its phase and progress, from which the supervisor tells a hang from slow work."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ftsdk import contract
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.worker_protocol import Phase

if TYPE_CHECKING:
    from transformers import TrainerCallback

SEND_EVERY_S = 1.0
"""Steps of milliseconds must not fill the pipe."""
COUNTED_STEPS = 1000
SLOWEST_SHARE = 0.99


class Heartbeat:
    """The heartbeat of this process."""

    def __init__(self) -> None:
        self._run = self._lease = ""
        self._phase: Phase | None = None
        self._sent_at = self._alive_at = self._longest_s = 0.0
        self._silences: deque[float] = deque(maxlen=COUNTED_STEPS)
        """For each of the newest steps, the longest time without progress, evaluations, checkpoints and rewards
        excluded."""

    def hold(self, run: str, lease: str) -> None:
        """Exit at the next heartbeat once the lease is another's: this process has survived its attempt."""
        self._run, self._lease = run, lease

    def enter(self, phase: Phase) -> None:
        """Report that a phase begins, or has made progress."""
        now = time.monotonic()
        if self._phase == Phase.STEP:
            self._longest_s = max(self._longest_s, now - self._alive_at)
        self._alive_at = now
        if phase != self._phase:
            self._phase, self._sent_at = phase, 0.0
        if now - self._sent_at >= SEND_EVERY_S:
            self._sent_at = now
            if self._lease and not worker_protocol.has_lease(self._run, self._lease):
                sys.stderr.write("ftsdk: another start of this training has begun: this process ends.\n")
                os._exit(contract.EXIT_INTERRUPTED)
            worker_protocol.send_heartbeat(os.environ, phase, self._slowest_step_s())

    def step_ended(self) -> None:
        """Report the end of an optimizer step. The first one belongs to `COMPILE`, and its time is not counted."""
        is_first = self._phase == Phase.COMPILE
        self.enter(Phase.STEP)
        if not is_first:
            self._silences.append(self._longest_s)
        self._longest_s = 0.0

    def progressed(self) -> None:
        """Report progress within the phase."""
        if self._phase:
            self.enter(self._phase)

    @contextmanager
    def during(self, phase: Phase) -> Iterator[None]:
        """Report a phase within another one, which goes on afterwards."""
        before = self._phase
        self.enter(phase)
        try:
            yield
        finally:
            if before:
                self.enter(before)

    def _slowest_step_s(self) -> float:
        """The 99th percentile over the newest steps; 0 before the second one has ended."""
        ordered = sorted(self._silences)
        return ordered[int(SLOWEST_SHARE * (len(ordered) - 1) + 0.5)] if ordered else 0.0


HEARTBEAT = Heartbeat()


def watch_tokenising() -> None:
    """Report every `Dataset.map` as its own phase: nothing else of a trainer takes hours before the first step."""
    from datasets import Dataset

    original = Dataset.map

    def map_rows(self: Dataset, *args: object, **kwargs: object) -> Dataset:
        with HEARTBEAT.during(Phase.TOKENISING):
            mapped: Dataset = original(self, *args, **kwargs)
        return mapped

    Dataset.map = map_rows


def heartbeat_callback() -> TrainerCallback:
    """The callback that reports the steps of a transformers Trainer."""
    from transformers import TrainerCallback

    class HeartbeatCallback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *args: object, **kwargs: object) -> None:
            HEARTBEAT.enter(Phase.COMPILE)

        def on_substep_end(self, *args: object, **kwargs: object) -> None:
            HEARTBEAT.progressed()

        def on_prediction_step(self, *args: object, **kwargs: object) -> None:
            HEARTBEAT.progressed()

        def on_step_end(self, *args: object, **kwargs: object) -> None:
            HEARTBEAT.step_ended()

        def on_train_end(self, *args: object, **kwargs: object) -> None:
            HEARTBEAT.enter(Phase.FINISHING)

    return HeartbeatCallback()
