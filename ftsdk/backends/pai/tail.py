"""A job's lines: the segments in OSS are the truth, the pods' own logs are ahead of them by seconds.

GetPodLogs gives at most so many lines, has no cursor, and drops lines of bursts. A supervisor's line carries its stamp,
so of what the pods show only those lines are taken that follow the last one seen; where one is missing, the segments
have it soon. What a shell said before there was a supervisor is shown if none ever spoke.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from ftsdk import contract, records
from ftsdk.backends.pai.jobs import Native
from ftsdk.backends.pai.service import SINCE, RefusedError, Services
from ftsdk.contract import Stamp
from ftsdk.records import LogLine
from ftsdk.store import Store

MOST_LINES: Final = 2000
SEGMENTS_EVERY_S: Final = 15.0
"""Each look behind a cursor reads the beginning of every segment, so a quiet job is not looked at all the time."""
POLL_MIN_S, POLL_MAX_S = 0.3, 5.0


class Tail:
    """Reads a job's lines behind a cursor."""

    def __init__(self, services: Services, store: Store, after: str | None) -> None:
        self._services, self._store = services, store
        self._cursor = after
        self._seen = records.parse_cursor(after)
        self._segments_at = 0.0

    def lines(self, look: Callable[[], Native], *, follow: bool) -> Iterator[LogLine]:
        """Lines so far, or with `follow` until the newest attempt has ended; `look` asks DLC for it."""
        pause_s = POLL_MIN_S
        while True:
            native, before = look(), self._cursor  # what was written before the look is seen
            if native.has_ended or time.monotonic() >= self._segments_at:
                yield from self._from_segments()
            yield from self._unspoken(native) if native.has_ended else self._from_pods(native)
            if native.has_ended or not follow:
                return
            pause_s = POLL_MIN_S if self._cursor != before else min(pause_s * 1.5, POLL_MAX_S)
            time.sleep(pause_s)

    def _from_segments(self) -> Iterator[LogLine]:
        self._segments_at = time.monotonic() + SEGMENTS_EVERY_S
        for line in records.read_lines(self._store, after=self._cursor, follow=False, ended=lambda: True):
            self._cursor = line.cursor
            yield line
        self._seen = records.parse_cursor(self._cursor)

    def _from_pods(self, native: Native) -> Iterator[LogLine]:
        for node, text in enumerate(self._said(native)):
            for stamp, line in map(contract.split_line, text):
                next_one = self._next(native.attempt, node)
                if stamp is None or stamp[1] != node or stamp < next_one:
                    continue
                if stamp > next_one:
                    self._segments_at = 0.0
                    break
                yield self._placed(stamp, line)

    def _unspoken(self, native: Native) -> Iterator[LogLine]:
        """What the pods of an attempt said whose supervisors wrote no line."""
        own = contract.segment_key(native.attempt, 0, 0).partition("-n")[0]
        if any(True for _ in self._store.list(own)):
            return
        for node, text in enumerate(self._said(native)):
            for number, line in enumerate(text):
                stamp = Stamp(native.attempt, node, number)
                if stamp >= self._next(native.attempt, node):
                    yield self._placed(stamp, contract.split_line(line)[1])

    def _next(self, attempt: int, node: int) -> Stamp:
        seen = self._seen.get(node)
        if seen is not None and seen.attempt == attempt:
            return Stamp(attempt, node, seen.sequence + 1)
        return Stamp(attempt, node, 0)

    def _placed(self, stamp: Stamp, text: str) -> LogLine:
        others = "".join(f",{other}" for node, other in sorted(self._seen.items()) if node != stamp.node)
        self._seen[stamp.node] = stamp
        self._cursor = f"{stamp}{others}"
        return LogLine(text, self._cursor)

    def _said(self, native: Native) -> Iterator[list[str]]:
        """The newest lines of each node's pod."""
        for pod in native.said.get("Pods") or ():
            found: list[str] = []
            with contextlib.suppress(RefusedError):  # a pod that is not there yet has no log
                asked = {"PodUid": pod["PodUid"]} if pod.get("PodUid") else {}
                said = self._services.call(
                    "get_pod_logs", native.id, str(pod["PodId"]), MaxLines=MOST_LINES, StartTime=SINCE, **asked
                )
                found = said.get("Logs") or []
            yield found
