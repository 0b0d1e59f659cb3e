"""Publishes checkpoints in the background, one at a time; training never waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ftsdk import contract
from ftsdk.runtime.checkpoints import Identity, publish, retain
from ftsdk.runtime.io import Durable
from ftsdk.runtime.io.mount import delete_tree


class Checkpoint(NamedTuple):
    """A complete checkpoint on scratch."""

    step: int
    source: Path
    best: str
    """Folder name of the best one so far, which the trainer loads at its end; empty if it does not."""


class Report(NamedTuple):
    """How one publish went; `problem` is empty after a COMMIT."""

    step: int
    seconds: float
    bytes: int
    problem: str


class Publisher:
    """A thread with room for one waiting checkpoint: a newer one takes the place of one that has not begun."""

    def __init__(self, durable: Durable, identity: Identity, keep: int, wake: Callable[[], None]) -> None:
        self._durable, self._identity, self._keep, self._wake = durable, identity, keep, wake
        self._condition = threading.Condition()
        self._waiting: Checkpoint | None = None
        self._busy = False
        self._given_up = False
        self._reports: list[Report] = []
        threading.Thread(target=self._run, daemon=True).start()

    def offer(self, checkpoint: Checkpoint) -> None:
        """A checkpoint is complete on local scratch; nobody writes to it any more."""
        with self._condition:
            self._waiting = checkpoint
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
                checkpoint, self._waiting, self._busy = self._waiting, None, True
            report = self._publish(checkpoint)
            with self._condition:
                self._busy = False
                self._reports.append(report)
                self._condition.notify_all()
            self._wake()

    def _publish(self, checkpoint: Checkpoint) -> Report:
        started, step, size, problem = time.monotonic(), checkpoint.step, None, ""
        try:
            size = publish(self._durable, self._identity, step, checkpoint.source, self._patience)
            problem = "" if size is not None else "the other nodes' parts did not come"
        except Exception as failure:  # whatever it is, training goes on and the log says it
            problem = f"{type(failure).__name__}: {failure}"
        with contextlib.suppress(OSError):  # what cannot be deleted now is deleted after the next one
            self._clean(checkpoint, is_committed=not problem)
        return Report(step, time.monotonic() - started, size or 0, problem)

    def _patience(self) -> bool:
        """Go on waiting for other nodes unless a newer checkpoint of ours is there, or time is up."""
        return not self._given_up and self._waiting is None

    def _clean(self, checkpoint: Checkpoint, *, is_committed: bool) -> None:
        """Half a checkpoint only takes room; older ones on scratch are of no use once this one is durable."""
        if not is_committed:
            self._durable.delete(contract.checkpoint_key(checkpoint.step))
            return
        if self._identity.node == 0:
            retain(self._durable, self._identity.digest, self._keep)
        for sibling in checkpoint.source.parent.glob("checkpoint-*"):
            if sibling.name != checkpoint.best and int(sibling.name.rpartition("-")[2]) < checkpoint.step:
                delete_tree(sibling)
