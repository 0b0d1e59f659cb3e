"""Reports storage that hangs instead of failing."""

from __future__ import annotations

from ftsdk.runtime.storage.durable import Durable


class StorageWatch:
    """Turns the state of durable storage into sentences for the log."""

    def __init__(self, durable: Durable) -> None:
        self._durable = durable
        self._is_stalled = False

    def notices(self) -> list[str]:
        """Sentences since the last call: when storage begins to hang, and when it responds again."""
        stalled_s = self._durable.stalled_s()
        was_stalled, self._is_stalled = self._is_stalled, stalled_s > 0
        if self._is_stalled and not was_stalled:
            return [f"storage has not responded for {stalled_s:.0f} s: the training goes on, its log is kept locally."]
        return ["storage responds again."] if was_stalled and not self._is_stalled else []
