"""Reading what a job's runtime wrote in its durable folder: outcomes, attempts, metrics and log segments.

Used by every backend whose durable folder can be read from here.
"""

from __future__ import annotations

import json
import re
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import dropwhile
from typing import Any, NamedTuple, cast

from ftsdk import contract
from ftsdk.contract import Stamp
from ftsdk.contract.documents import Outcome
from ftsdk.contract.lines import TrainerMetrics
from ftsdk.errors import BackendError, SpecError
from ftsdk.runtime.storage.base import ObjectInfo, ReadableStore, Store

_LAST_SEQUENCE = 1 << 60
CHUNK_BYTES = 1 << 18  # small enough that its parsed lines stay in the processor's cache
POLL_MIN_S = 0.01
MOST_METRICS = 64
"""Enough for a measured speed with its range."""
TAIL_PIECE_BYTES, TAIL_BYTES = 1 << 18, 1 << 23
"""First piece of a log's end (each further one is twice as long), and how far back more metrics are looked for."""


class LogLine(NamedTuple):
    """One line of a job's output, without its stamp."""

    text: str
    cursor: str
    """Opaque; passed as `after=`, it resumes exactly after this line."""


_log_line = partial(tuple.__new__, LogLine)
"""What LogLine._make does, without a Python call for each of a million lines."""


def read_json(store: Store, key: str) -> Any | None:
    """The JSON behind a key, or None if there is none."""
    try:
        return json.loads(store.read(key))
    except FileNotFoundError:
        return None


def check_owner(store: Store, backend: str) -> None:
    """Raise BackendError for a folder that holds the same training, run by another backend."""
    existing = read_json(store, contract.JOB_FILE)
    if existing and existing["backend"] != backend:
        raise BackendError(
            f"output: {store.uri} holds this training already, run by the {existing['backend']} backend: set `output` "
            f"to another place, or remove that job first (`ftsdk clean`)."
        )


def outcome(store: Store, attempt: int, num_nodes: int) -> Outcome | None:
    """The outcome of an attempt, once every node has written one; of several failures, the first."""
    outcomes: list[Outcome | None] = [read_json(store, contract.outcome_key(attempt, n)) for n in range(num_nodes)]
    failed = [record for record in outcomes if record and record["state"] != "SUCCEEDED"]
    if failed:
        return min(failed, key=lambda record: record["ended_at"])
    return outcomes[0] if all(outcomes) else None


def last_attempt(store: Store) -> int:
    """Number of the newest claimed attempt; 0 if there is none."""
    claims = (re.search(r"/a(\d+)/claim\.json$", item.key) for item in store.list(f"{contract.ATTEMPTS_DIR}/"))
    return max((int(match[1]) for match in claims if match), default=0)


def has_lines(store: Store, attempt: int) -> bool:
    """Whether a supervisor of an attempt has written a line."""
    return any(True for _ in store.list(contract.segments_prefix(attempt)))


def last_metrics(store: Store, attempt: int) -> list[TrainerMetrics]:
    """The newest metric events of an attempt's first node, oldest first.

    Goes back until it has MOST_METRICS of them, or at least one within TAIL_BYTES, so that a long log costs no more.
    """
    metrics: list[TrainerMetrics] = []
    taken, length = 0, TAIL_PIECE_BYTES
    for item in reversed(_segments_with_events(store, attempt)):
        end, rest = item.bytes, b""
        while end > 0 and len(metrics) < MOST_METRICS and not (metrics and taken > TAIL_BYTES):
            start = max(0, end - length)
            piece = store.read(item.key, start, end - start) + rest
            taken, length, end = taken + end - start, 2 * length, start
            rest, whole = (b"", piece) if start == 0 else _cut_first_line(piece)
            metrics = [*_metrics_in(whole), *metrics]
    return metrics[-MOST_METRICS:]


def all_metrics(store: Store) -> Iterator[TrainerMetrics]:
    """The metric events of all attempts' first nodes, oldest first."""
    for attempt in range(1, last_attempt(store) + 1):
        for item in _segments_with_events(store, attempt):
            rest = b""
            for start in range(0, item.bytes, TAIL_BYTES):
                block = rest + store.read(item.key, start, TAIL_BYTES)
                end = block.rfind(b"\n") + 1
                yield from _metrics_in(block[:end])
                rest = block[end:]


def _segments_with_events(store: Store, attempt: int) -> list[ObjectInfo]:
    """The first node's segments of events; those of its log where an older release wrote no others."""
    events = store.list(contract.events_prefix(attempt, 0))
    return [*events] or [*store.list(contract.segments_prefix(attempt, 0))]


def _cut_first_line(piece: bytes) -> tuple[bytes, bytes]:
    """(what belongs to the piece before, whole lines)."""
    cut = piece.find(b"\n") + 1
    return (piece[:cut], piece[cut:]) if cut else (piece, b"")


def _metrics_in(block: bytes) -> Iterator[TrainerMetrics]:
    for event in contract.metric_events(block):
        yield cast(TrainerMetrics, {name: value for name, value in event.items() if name != "event"})


# --- logs ----------------------------------------------------------------------------------------------
def read_lines(
    store: ReadableStore, *, after: str | None, follow: bool, ended: Callable[[], bool]
) -> Iterator[LogLine]:
    """A job's lines from its segments, in constant memory; nodes take turns, each in its own order.

    With `follow`, continues until `ended()` is true and everything written before has been yielded.
    """
    seen = parse_cursor(after)
    readers: dict[int, _NodeReader] = {}
    pause_s = POLL_MIN_S
    last_rounds = not follow
    segments_of: dict[int, list[str]] = {}
    quiet = True
    while True:
        if is_listed := quiet:  # a listing costs as much as a chunk: only where there is nothing left to read
            segments_of = _segments(store)
        quiet = True
        for node, segments in segments_of.items():
            reader = readers.setdefault(node, _NodeReader(seen.get(node)))
            lines = reader.next_lines(store, segments)
            quiet = quiet and not lines
            yield from _with_cursors(lines, node, seen)
        if not quiet:
            pause_s = POLL_MIN_S
        elif not is_listed:
            continue
        elif last_rounds:
            return
        elif ended():  # what was written before the end is read in one more round
            last_rounds = True
        else:
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, store.poll_s)


def parse_cursor(cursor: str | None) -> dict[int, Stamp]:
    """Node -> last line seen. Raises SpecError for a cursor that ftsdk did not make."""
    try:
        stamps = [contract.parse_stamp(part) for part in cursor.split(",")] if cursor else []
    except ValueError:
        raise SpecError(f"Cursor {cursor!r} is not one of ours: give one that `ftsdk logs --json` printed.") from None
    return {stamp.node: stamp for stamp in stamps}


def end_of_attempt(attempt: int, num_nodes: int) -> str:
    """The cursor after all lines of an attempt: the lines after it are those of the next attempt."""
    return ",".join(str(Stamp(attempt, node, _LAST_SEQUENCE)) for node in range(num_nodes))


def _segments(store: ReadableStore) -> dict[int, list[str]]:
    """Node -> keys of its segments, oldest first."""
    segments: dict[int, list[str]] = defaultdict(list)
    for item in store.list(f"{contract.LOGS_DIR}/"):
        if place := contract.parse_segment_key(item.key):
            segments[place[1]].append(item.key)
    return dict(sorted(segments.items()))


def _with_cursors(lines: list[str], node: int, seen: dict[int, Stamp]) -> Iterator[LogLine]:
    """Remove the stamps. With one node the stamp is the cursor; with more, the others' last stamps are appended."""
    others = "".join(f",{stamp}" for other, stamp in sorted(seen.items()) if other != node)
    stamp = ""
    for line in lines:
        stamp, _, text = line.partition(contract.STAMP_END)
        yield _log_line((text, stamp + others))
    if stamp:
        seen[node] = contract.parse_stamp(stamp)


class _NodeReader:
    """A position in one node's segments."""

    def __init__(self, seen: Stamp | None) -> None:
        self.seen = seen
        self.segment = ""
        self.offset = 0

    def next_lines(self, store: ReadableStore, segments: list[str]) -> list[str]:
        """The next whole lines, at most about CHUNK_BYTES of them; none if nothing new is there."""
        if not self.segment:
            self._start(store, segments)
        while data := self._next_data(store, segments):
            if lines := self._unseen(data[:-1].decode("utf-8", "replace").split("\n")):
                return lines
        return []

    def _next_data(self, store: ReadableStore, segments: list[str]) -> bytes:
        while not (data := self._whole_lines(store)):
            later = bisect_right(segments, self.segment)
            if later == len(segments):
                return b""
            self.segment, self.offset = segments[later], 0
        self.offset += len(data)
        return data

    def _unseen(self, lines: list[str]) -> list[str]:
        """Drop lines up to the cursor, which may be ahead of the segments while these still grow."""
        if self.seen is None:
            return lines
        behind = _place(self.seen)
        fresh = list(dropwhile(lambda line: _is_up_to(line, behind), lines))
        self.seen = None if fresh else self.seen
        return fresh

    def _whole_lines(self, store: ReadableStore) -> bytes:
        length = CHUNK_BYTES
        while True:
            data = store.read(self.segment, self.offset, length)
            if (end := data.rfind(b"\n") + 1) or len(data) < length:
                return data[:end]
            length *= 2  # one line longer than a chunk

    def _start(self, store: ReadableStore, segments: list[str]) -> None:
        """Find the position after the cursor: the last segment that starts at or before it, then a binary search."""
        self.segment = segments[0]
        if self.seen is None:
            return
        for key in segments[1:]:
            first = _stamp_at(store, key, 0)[1]
            if first is not None and _place(first) > _place(self.seen):
                break
            self.segment = key if first is not None else self.segment
        self.offset = self._search(store, self.seen)

    def _search(self, store: ReadableStore, seen: Stamp) -> int:
        low, high = 0, next(item.bytes for item in store.list(self.segment))
        while low < high:
            middle = (low + high) // 2
            start, stamp = _stamp_at(store, self.segment, middle)
            if stamp is None or _place(stamp) > _place(seen):
                high = middle
            else:
                low = start + 1
        return _stamp_at(store, self.segment, low)[0]


def _place(stamp: Stamp) -> tuple[int, int]:
    return stamp.attempt, stamp.sequence


def _is_up_to(line: str, place: tuple[int, int]) -> bool:
    stamp, _ = contract.split_line(line)
    return stamp is not None and _place(stamp) <= place


def _stamp_at(store: ReadableStore, key: str, offset: int) -> tuple[int, Stamp | None]:
    """(offset, stamp) of the first line that starts at or behind `offset`; the stamp is None at the end."""
    length = 4096
    base = max(offset - 1, 0)  # a line starts at `offset` if the byte before it ends one
    while True:
        data = store.read(key, base, length)
        skip = 0 if offset == 0 else data.find(b"\n") + 1
        if (skip or offset == 0) and b"\n" in data[skip:]:
            return base + skip, contract.split_line(data[skip : skip + 64].decode("utf-8", "replace"))[0]
        if len(data) < length:
            return base + (skip or len(data)), None
        length *= 4
