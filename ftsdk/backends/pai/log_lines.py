"""A job's lines: the segments in OSS are complete, the pods' own logs are ahead of them by seconds.

GetPodLogs gives at most so many lines, has no cursor, and drops lines of bursts. A supervisor's line carries its stamp,
so of what the pods show only those lines are taken that follow the last one seen; where one is missing, the segments
have it soon. Lines of the last seconds before a machine was lost, or of a shell that found no supervisor, are in the
pods' logs only. Where AIMaster starts a job again, a node has one pod after another (HistoryPods): a later one numbers
its lines far behind an earlier one's, and the earlier one's last lines are put into that gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from ftsdk import contract
from ftsdk.backends.pai import jobs
from ftsdk.backends.pai.jobs import DlcAttempt
from ftsdk.backends.pai.service import SINCE, AlibabaRefusedError, AlibabaServices
from ftsdk.backends.pai.shapes import Pod
from ftsdk.contract import Stamp
from ftsdk.runtime.storage.base import ObjectInfo, Store
from ftsdk.storage import records
from ftsdk.storage.records import LogLine

MOST_LINES: Final = 2000
SEGMENTS_EVERY_S: Final = 15.0
"""Seconds between reads of the segments: each read opens every segment."""
POLL_MIN_S, POLL_MAX_S = 0.3, 5.0
DRAIN_S: Final = 10.0
"""Seconds after a pod's end within which lines may still arrive in its log."""


class PaiLogReader:
    """Reads a job's lines behind a cursor."""

    def __init__(self, services: AlibabaServices, store: Store, after: str | None) -> None:
        self._services, self._store = services, store
        self._cursor = after
        self._seen = records.parse_cursor(after)
        self._done = min((stamp.attempt for stamp in self._seen.values()), default=1) - 1
        """Attempts up to this one are read to their end."""
        self._segments_at = 0.0
        self._over: dict[str, tuple[float, list[str]]] = {}
        """Uid of an ended pod -> when its end was noticed, and its lines."""

    def lines(self, query: Callable[[], DlcAttempt], *, follow: bool) -> Iterator[LogLine]:
        """Lines so far, or with `follow` until the newest attempt has ended; `query` returns the newest attempt."""
        pause_s = POLL_MIN_S
        while True:
            native, before = query(), self._cursor  # lines written before the query are read
            for previous in self._previous(native):
                yield from self._ended(previous)
                self._done = previous.attempt
            yield from self._ended(native) if native.has_ended else self._alive(native)
            if native.has_ended or not follow:
                return
            pause_s = POLL_MIN_S if self._cursor != before else min(pause_s * 1.5, POLL_MAX_S)
            time.sleep(pause_s)

    def _previous(self, newest: DlcAttempt) -> list[DlcAttempt]:
        """Attempts before the newest one that are not read yet."""
        if newest.attempt - self._done < 2:
            return []
        name = contract.split_native_name(str(newest.response["DisplayName"]))[0]
        existing = jobs.attempts(self._services, name)
        return [native for native in existing if self._done < native.attempt < newest.attempt]

    def _alive(self, native: DlcAttempt) -> Iterator[LogLine]:
        if time.monotonic() >= self._segments_at:
            yield from self._from_segments(native)
        yield from self._from_pods(native, drained=False)

    def _ended(self, native: DlcAttempt) -> Iterator[LogLine]:
        """All lines of an ended attempt; its last ones may be in the pods' logs only."""
        yield from self._from_segments(native)
        if records.has_lines(self._store, native.attempt):
            yield from self._from_pods(native, drained=True)
        else:
            yield from self._without_segments(native)

    def _from_segments(self, native: DlcAttempt) -> Iterator[LogLine]:
        self._segments_at = time.monotonic() + SEGMENTS_EVERY_S
        kept = OneAttempt(self._store, native.attempt)
        lines = records.read_lines(kept, after=self._cursor, follow=False, ended=lambda: True)
        had_other_pods = any(pod.get("HistoryPods") for pod in native.pods)
        for line in self._with_gaps_filled(native, lines) if had_other_pods else lines:
            self._cursor = line.cursor
            yield line
        self._seen = records.parse_cursor(self._cursor)

    def _with_gaps_filled(self, native: DlcAttempt, lines: Iterator[LogLine]) -> Iterator[LogLine]:
        """Lines of segments; before the first one of a later pod, the last lines of the pod before it."""
        output = dict(enumerate(self._outputs(native)))
        for line in lines:
            stamp = contract.parse_stamp(line.cursor.partition(",")[0])
            if (next_one := self._next(native.attempt, stamp.node)) < stamp:
                for place, text in map(contract.split_line, output.get(stamp.node, ())):
                    if place is not None and next_one <= place < stamp:
                        yield self._placed(place, text)
            self._seen[stamp.node] = stamp
            yield line

    def _from_pods(self, native: DlcAttempt, *, drained: bool) -> Iterator[LogLine]:
        """Lines that follow the last one; `drained`: no more segments are written, so gaps stay."""
        for node, text in enumerate(self._outputs(native)):
            for stamp, line in map(contract.split_line, text):
                next_one = self._next(native.attempt, node)
                if stamp is None or stamp.node != node or stamp < next_one:
                    continue
                if stamp > next_one and not drained:
                    self._segments_at = 0.0
                    break
                yield self._placed(stamp, line)

    def _without_segments(self, native: DlcAttempt) -> Iterator[LogLine]:
        """The pods' lines of an attempt whose supervisors wrote no segment."""
        for node, text in enumerate(self._outputs(native)):
            for number, line in enumerate(text):
                stamp, output = contract.split_line(line)
                place = stamp or Stamp(native.attempt, node, number)
                if place >= self._next(native.attempt, node):
                    yield self._placed(place, output)

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

    def _outputs(self, native: DlcAttempt) -> Iterator[list[str]]:
        """The newest lines of each node, those of its earlier pods before those of its pod of now."""
        for pod in native.pods:
            previous = sorted(pod.get("HistoryPods") or (), key=lambda old: str(old.get("GmtCreateTime", "")))
            yield [*(line for old in previous for line in self._last_lines(native, old)), *self._log(native, pod)]

    def _last_lines(self, native: DlcAttempt, pod: Pod) -> list[str]:
        seen_at, output = self._over.get(pod["PodUid"], (time.monotonic(), []))
        if not output or time.monotonic() - seen_at < DRAIN_S:
            output = self._log(native, pod)
            self._over[pod["PodUid"]] = seen_at, output
        return output

    def _log(self, native: DlcAttempt, pod: Pod) -> list[str]:
        pod_uid = {"PodUid": pod["PodUid"]} if pod.get("PodUid") else {}
        try:
            output = self._services.call(
                "get_pod_logs", native.id, str(pod["PodId"]), MaxLines=MOST_LINES, StartTime=SINCE, **pod_uid
            )
        except AlibabaRefusedError:  # a pod that is not there yet has no log
            return []
        lines: list[str] = output.get("Logs") or []
        return lines


class OneAttempt:
    """A job's folder in which only one attempt has log segments."""

    def __init__(self, store: Store, attempt: int) -> None:
        self._store, self._attempt = store, attempt
        self.poll_s, self.read = store.poll_s, store.read

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """That attempt's segments."""
        own = contract.segments_prefix(self._attempt)
        return (item for item in self._store.list(prefix) if item.key.startswith(own))
