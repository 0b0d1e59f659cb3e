"""Where the log of an attempt ends: after a restart of the container, writing continues there."""

from __future__ import annotations

from ftsdk import contract
from ftsdk.runtime.storage.durable import Durable

NEWLINE = b"\n"


class LogPosition:
    """The end of what previous starts of this attempt logged, and the last step of each kind of metrics in it."""

    def __init__(self, durable: Durable, attempt: int, node: int) -> None:
        self.sequence = 0
        """Number of the next line."""
        self.segment = 0
        """Number of the next segment."""
        self._steps: dict[str, int] = {}
        own = contract.segments_prefix(attempt, node)
        for item in durable.list(own):
            self.segment = int(item.key.removeprefix(own).removesuffix(".log")) + 1
            self._read(durable.read(item.key))

    def is_replay(self, event: contract.Event) -> bool:
        """Whether these metrics were already logged before the restart."""
        return step_of(event) <= self._steps.get(contract.metrics_kind(event), -1)

    def _read(self, segment: bytes) -> None:
        whole = segment[: segment.rfind(NEWLINE) + 1]  # after a power failure the last line may be incomplete
        if whole:
            last = whole[whole.rfind(NEWLINE, 0, -1) + 1 :]
            stamp, _ = contract.split_line(last[:64].decode("utf-8", "replace"))
            self.sequence = stamp.sequence + 1 if stamp else self.sequence
        for event in contract.metric_events(whole):
            kind = contract.metrics_kind(event)
            self._steps[kind] = max(self._steps.get(kind, -1), step_of(event))


def step_of(event: contract.Event) -> int:
    """The event's step; 0 if it is not an integer (any program may print such a line)."""
    step = event.get("step")
    return step if isinstance(step, int) else 0
