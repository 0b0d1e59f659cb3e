"""How far a training is: the last step that it logged, and the newest step in durable storage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk import contract
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.checkpoints.checkpoints import Identity
from ftsdk.runtime.logs.log_position import LogPosition, step_of
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.supervisor.scratch import Scratch

if TYPE_CHECKING:
    from ftsdk.runtime.checkpoints.publisher import Publisher, PublishReport

RECORDED_METRICS = ("epoch", *(name for name in contract.METRIC_FIELDS if name != "eta_s"))


class Progress:
    """Follows the trainer's events and has its checkpoints published in the background."""

    def __init__(
        self,
        durable: Durable,
        identity: Identity,
        scratch: Scratch,
        position: LogPosition,
        *,
        keep: int,
        wake: Callable[[], None],
    ) -> None:
        self._durable, self._identity, self._scratch, self._position = durable, identity, scratch, position
        self._keep, self._wake = keep, wake
        self._publisher: Publisher | None = None
        self.step: int | None = None
        """The last step that the trainer reported."""
        self.saved_step: int | None = None
        """The newest step in durable storage."""
        self.metrics: dict[str, object] = {}
        """The newest value of every metric."""

    def on_event(self, event: contract.Event) -> bool:
        """Called with every event in the output; False for metrics that were logged before a restart."""
        step = step_of(event)
        if event["event"] not in (contract.EVENT_METRICS, contract.EVENT_CHECKPOINT):
            return True
        self.step = max(self.step or 0, step)
        if event["event"] == contract.EVENT_METRICS:
            values: Mapping[str, object] = event
            self.metrics |= {name: values[name] for name in RECORDED_METRICS if name in values}
            return not self._position.is_replay(event)
        folder = self._scratch.output / f"checkpoint-{step}"  # never a path that the output itself names
        if step and folder.is_dir():
            self._offer(step, folder, str(event.get("best", "")))
        return True

    def published(self) -> list[PublishReport]:
        """The publishes that ended since the last call; the cadence needs how long they took."""
        reports = self._publisher.reports() if self._publisher else []
        for report in reports:
            if not report.problem:
                self.saved_step = report.step
                with contextlib.suppress(OSError):  # scratch may be full
                    worker_protocol.write_publish_duration(self._scratch.run, report.seconds)
        return reports

    @property
    def is_publishing(self) -> bool:
        """Whether a checkpoint is waiting for its publish or being published."""
        return self._publisher is not None and not self._publisher.idle

    def give_up(self) -> None:
        """Stop waiting for other nodes' parts and for storage that fails."""
        if self._publisher:
            self._publisher.give_up()

    def _offer(self, step: int, folder: Path, best: str) -> None:
        from ftsdk.runtime.checkpoints.publisher import LocalCheckpoint, Publisher

        if self._publisher is None:
            self._publisher = Publisher(self._durable, self._identity, self._keep, self._wake)
        self._publisher.offer(LocalCheckpoint(step, folder, best))
