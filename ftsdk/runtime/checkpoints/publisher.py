"""Publishes checkpoints in the background, one at a time; training never waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ftsdk import contract
from ftsdk.runtime.checkpoints.checkpoints import Identity, committed, publish, retain
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import delete_tree


class Checkpoint(NamedTuple):
    """A complete checkpoint on scratch."""

    step: int
    source: Path
    best: str
    """Folder name of the best one so far, which the trainer loads at its end; empty if it does not."""


class Report(NamedTuple):
    """How one publish goes; `problem` is empty after a COMMIT."""

    step: int
    seconds: float
    bytes: int
    problem: str


FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0
"""Between two tries while storage fails."""


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
        """Wait no longer, neither for other nodes' parts nor for storage that fails."""
        with self._condition:
            self._given_up = True
            self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting is not None)
                assert self._waiting is not None
                checkpoint, self._waiting, self._busy = self._waiting, None, True
            self._publish(checkpoint)
            with self._condition:
                self._busy = False
                self._condition.notify_all()
            self._wake()

    def _publish(self, checkpoint: Checkpoint) -> None:
        """Try until it is committed, a newer checkpoint is there, or nobody waits any more."""
        pause_s = FIRST_PAUSE_S
        while self._try(checkpoint) and self._patience():
            with self._condition:
                if self._condition.wait_for(lambda: not self._patience(), timeout=pause_s):
                    return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _try(self, checkpoint: Checkpoint) -> str:
        """One try, reported; returns the problem, if there was one."""
        started, size, problem = time.monotonic(), None, ""
        try:
            size = self._store(checkpoint)
            problem = "" if size is not None else "the other nodes' parts did not come"
        except Exception as failure:  # whatever it is, training goes on and the log says it
            problem = f"{type(failure).__name__}: {failure}"
        with contextlib.suppress(OSError):  # what cannot be deleted now is deleted after the next one
            self._clean(checkpoint, is_committed=not problem)
        with self._condition:
            self._reports.append(Report(checkpoint.step, time.monotonic() - started, size or 0, problem))
        self._wake()
        return problem

    def _store(self, checkpoint: Checkpoint) -> int | None:
        """The best one first: it may have waited here and been overtaken, and a resume needs it too."""
        best = int(checkpoint.best.rpartition("-")[2]) if checkpoint.best else None
        if best is not None and best != checkpoint.step and not self._is_committed(best):
            source = checkpoint.source.with_name(checkpoint.best)
            if self._publish_one(best, source, best) is None:
                return None
        return self._publish_one(checkpoint.step, checkpoint.source, best)

    def _publish_one(self, step: int, source: Path, best: int | None) -> int | None:
        return publish(self._durable, self._identity, step, source, self._patience, best)

    def _is_committed(self, step: int) -> bool:
        return any(commit.step == step for commit in committed(self._durable, self._identity.digest))

    def _patience(self) -> bool:
        """Go on with this one, unless a newer checkpoint of ours is there, or time is up."""
        return not self._given_up and self._waiting is None

    def _clean(self, checkpoint: Checkpoint, *, is_committed: bool) -> None:
        """Half a checkpoint only takes room; older ones on scratch are of no use once this one is durable."""
        if not is_committed:
            self._durable.delete_folder(contract.checkpoint_key(checkpoint.step))
            return
        if self._identity.node == 0:
            retain(self._durable, self._identity.digest, self._keep)
        for sibling in checkpoint.source.parent.glob("checkpoint-*"):
            if sibling.name != checkpoint.best and int(sibling.name.rpartition("-")[2]) < checkpoint.step:
                delete_tree(sibling)
