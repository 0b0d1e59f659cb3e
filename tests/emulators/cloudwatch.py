"""The log streams of training jobs, in memory: events become readable a while after they were written."""

from __future__ import annotations

import time
from typing import Any

PAGE_EVENTS, PAGE_BYTES = 10_000, 1 << 20
"""What one GetLogEvents answer holds at most."""
PAGE_STREAMS = 50
EVENT_BYTES = 256 << 10
"""A longer event is cut in pieces, as the platform's agent does."""


class Streams:
    """Streams of one log group. An event is (when it can be read, milliseconds, message)."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.empty_pages = False
        """Every other page is empty and has a new token."""
        self._streams: dict[str, list[tuple[float, int, str]]] = {}
        self._made: dict[str, float] = {}

    @property
    def has_any(self) -> bool:
        """The group is made with the account's first job."""
        return bool(self._streams)

    def open(self, name: str) -> None:
        """Make a stream."""
        self._streams[name] = []
        self._made[name] = time.time()

    def put(self, name: str, lines: list[str]) -> None:
        """Take lines."""
        now = time.time()
        pieces = [line[i : i + EVENT_BYTES] for line in lines for i in range(0, len(line) or 1, EVENT_BYTES)]
        self._streams[name] += [(now + self.delay_s, int(now * 1000), piece) for piece in pieces]

    def describe(self, prefix: str) -> list[dict[str, Any]]:
        """Streams that begin so, by name."""
        return [
            {"logStreamName": name, "creationTime": int(self._made[name] * 1000)}
            for name in sorted(self._streams)
            if name.startswith(prefix)
        ]

    def page(self, name: str, token: str | None) -> dict[str, Any]:
        """The next events of a stream; the same token again means that there are no more."""
        token = token or "f/0"
        place, _, turn = token.removeprefix("f/").partition("/")
        first = int(place)
        if self.empty_pages and not turn and first < len(self._streams[name]):
            return {"events": [], "nextForwardToken": f"{token}/full", "nextBackwardToken": f"b/{first}"}
        events, size, now = [], 0, time.time()
        for readable_at, millis, message in self._streams[name][first : first + PAGE_EVENTS]:
            size += len(message.encode()) + 26
            if readable_at > now or size > PAGE_BYTES:
                break
            events.append({"timestamp": millis, "ingestionTime": int(readable_at * 1000), "message": message})
        return {
            "events": events,
            "nextForwardToken": f"f/{first + len(events)}" if events else token,
            "nextBackwardToken": f"b/{first}",
        }
