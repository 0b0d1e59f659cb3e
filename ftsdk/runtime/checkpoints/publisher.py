"""Publishes checkpoints in a background thread, one at a time; the training never waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ftsdk import contract
from ftsdk.runtime.checkpoints.checkpoints import Identity, committed, publish, retain
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import delete_tree


class LocalCheckpoint(NamedTuple):
    """A complete checkpoint on scratch."""

    step: int
    source: Path
    best: str
    """Folder name of the best one so far, which the trainer loads at its end; empty if it loads none."""


class PublishReport(NamedTuple):
    """The result of one publish; `problem` is empty after a COMMIT."""

    step: int
    seconds: float
    bytes: int
    problem: str


RETRY = RetryPolicy(first_pause_s=1.0, max_pause_s=10.0)
"""Pauses between two tries while storage fails."""


class Publisher:
    """A thread with a queue of one checkpoint: a newer one replaces one whose publish has not begun."""

    def __init__(self, durable: Durable, identity: Identity, keep: int, wake: Callable[[], None]) -> None:
        self._durable, self._identity, self._keep, self._wake = durable, identity, keep, wake
        self._condition = threading.Condition()
        self._waiting: LocalCheckpoint | None = None
        self._busy = False
        self._given_up = False
        self._reports: list[PublishReport] = []
        threading.Thread(target=self._run, daemon=True).start()

    def offer(self, checkpoint: LocalCheckpoint) -> None:
        """Queue a checkpoint. It must be complete: no process writes to it any more."""
        with self._condition:
            self._waiting = checkpoint
            self._condition.notify_all()

    def reports(self) -> list[PublishReport]:
        """The results since the last call."""
        with self._condition:
            reports, self._reports = self._reports, []
            return reports

    @property
    def idle(self) -> bool:
        """True if no checkpoint is queued or being published."""
        with self._condition:
            return not self._busy and self._waiting is None

    def give_up(self) -> None:
        """Stop waiting for other nodes' parts and for storage that fails."""
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

    def _publish(self, checkpoint: LocalCheckpoint) -> None:
        """Try until it is committed, a newer checkpoint is queued, or `give_up` is called."""
        for pause_s in RETRY.pauses():
            if not self._try(checkpoint) or not self._should_wait():
                return
            with self._condition:
                if self._condition.wait_for(lambda: not self._should_wait(), timeout=pause_s):
                    return

    def _try(self, checkpoint: LocalCheckpoint) -> str:
        """One try, reported; returns the problem, if there was one."""
        started, size, problem = time.monotonic(), None, ""
        try:
            size = self._store(checkpoint)
            problem = "" if size is not None else "the other nodes' parts did not come"
        except Exception as failure:  # whatever it is, training continues and the log reports it
            problem = f"{type(failure).__name__}: {failure}"
        with contextlib.suppress(OSError):  # what cannot be deleted now is deleted after the next publish
            self._clean(checkpoint, is_committed=not problem)
        with self._condition:
            self._reports.append(PublishReport(checkpoint.step, time.monotonic() - started, size or 0, problem))
        self._wake()
        return problem

    def _store(self, checkpoint: LocalCheckpoint) -> int | None:
        """Publish the checkpoint, after the best one if that was replaced in the queue: a resume needs both."""
        best = int(checkpoint.best.rpartition("-")[2]) if checkpoint.best else None
        if best is not None and best != checkpoint.step and not self._is_committed(best):
            source = checkpoint.source.with_name(checkpoint.best)
            if self._publish_one(best, source, best) is None:
                return None
        return self._publish_one(checkpoint.step, checkpoint.source, best)

    def _publish_one(self, step: int, source: Path, best: int | None) -> int | None:
        return publish(self._durable, self._identity, step, source, self._should_wait, best)

    def _is_committed(self, step: int) -> bool:
        return any(commit.step == step for commit in committed(self._durable, self._identity.digest))

    def _should_wait(self) -> bool:
        """False once a newer checkpoint is queued or `give_up` was called."""
        return not self._given_up and self._waiting is None

    def _clean(self, checkpoint: LocalCheckpoint, *, is_committed: bool) -> None:
        """Delete a partly published checkpoint, or the older ones once this one is durable."""
        if not is_committed:
            self._durable.delete_folder(contract.checkpoint_key(checkpoint.step))
            return
        if self._identity.node == 0:
            retain(self._durable, self._identity.digest, self._keep)
        for sibling in checkpoint.source.parent.glob("checkpoint-*"):
            if sibling.name != checkpoint.best and int(sibling.name.rpartition("-")[2]) < checkpoint.step:
                delete_tree(sibling)
