"""Publishes checkpoints in the background, one at a time; training never waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ftsdk.runtime.checkpoints import Identity, publish, retain
from ftsdk.runtime.io import Durable
from ftsdk.runtime.io.mount import delete_tree


class Report(NamedTuple):
    """How one publish went; `problem` is empty after a COMMIT."""

    step: int
    seconds: float
    bytes: int
    problem: str


class Publisher:
    """A thread with room for one waiting checkpoint: a newer one takes the place of one that has not begun."""

    def __init__(self, durable: Durable, identity: Identity, keep: int, wake: Callable[[], None]) -> None:
        self.committed_step: int | None = None
        self._durable, self._identity, self._keep, self._wake = durable, identity, keep, wake
        self._condition = threading.Condition()
        self._waiting: tuple[int, Path] | None = None
        self._busy = False
        self._given_up = False
        self._reports: list[Report] = []
        threading.Thread(target=self._run, daemon=True).start()

    def offer(self, step: int, source: Path) -> None:
        """A checkpoint is complete on local scratch; nobody writes to it any more."""
        with self._condition:
            self._waiting = (step, source)
            self._condition.notify_all()

    def reports(self) -> list[Report]:
        """What was done since the last call."""
        with self._condition:
            done, self._reports = self._reports, []
            return done

    @property
    def idle(self) -> bool:
        """True if nothing is waiting or under way."""
        with self._condition:
            return not self._busy and self._waiting is None

    def give_up(self) -> None:
        """Wait no longer for other nodes' parts."""
        self._given_up = True

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting is not None)
                assert self._waiting is not None
                step, source = self._waiting
                self._waiting, self._busy = None, True
            report = self._publish(step, source)
            with self._condition:
                self._busy = False
                self._reports.append(report)
                self._condition.notify_all()
            self._wake()

    def _publish(self, step: int, source: Path) -> Report:
        started = time.monotonic()
        try:
            size = publish(self._durable, self._identity, step, source, self._patience)
        except Exception as failure:  # whatever it is, training goes on and the log says it
            return Report(step, time.monotonic() - started, 0, f"{type(failure).__name__}: {failure}")
        if size is None:
            return Report(step, time.monotonic() - started, 0, "the other nodes' parts did not come")
        self.committed_step = step
        with contextlib.suppress(OSError):  # what could not be deleted now is deleted after the next one
            self._clean(step, source)
        return Report(step, time.monotonic() - started, size, "")

    def _patience(self) -> bool:
        """Go on waiting for other nodes unless a newer checkpoint of ours is there, or time is up."""
        return not self._given_up and self._waiting is None

    def _clean(self, step: int, source: Path) -> None:
        """Older checkpoints on scratch are of no use once this one is durable."""
        if self._identity.node == 0:
            retain(self._durable, self._identity.digest, self._keep)
        for sibling in source.parent.glob("checkpoint-*"):
            if sibling != source and int(sibling.name.rpartition("-")[2]) < step:
                delete_tree(sibling)
