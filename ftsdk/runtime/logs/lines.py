"""Writes every output line, stamped, to the supervisor's stdout and to the segments in durable storage.

Guarantees:
- Lines are copied as bytes: carriage returns, invalid UTF-8 and lines of many megabytes are unchanged. Only a line
  longer than `MAX_LINE_BYTES` is split, to bound memory, and one that begins as an event does is indented by a space:
  events come from the supervisor and from the trainer's pipe for events.
- Events are also written to segments of their own, before the log's, so that metrics are read without the log.
- The segments are authoritative. Storage that hangs is not waited for: lines are spooled on local disk (1 GiB). While
  storage refuses writes (disk full), up to `MAX_HELD_BYTES` are held in memory and written once it accepts them; lines
  beyond that are counted as lost, and a warning reports the gap.
- stdout is best effort. A slow reader is waited for; one that reads nothing for `STALL_TIMEOUT_S` loses lines until it
  reads again (also counted); one that has closed the stream is ignored. The trainer is never blocked any longer.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import stat
import time
from collections.abc import Callable
from functools import partial

from ftsdk import contract
from ftsdk.runtime.logs.masking import Mask
from ftsdk.runtime.storage.durable import Appender, Durable

MAX_HELD_BYTES = 16 << 20
MAX_LINE_BYTES = 64 << 20
RETRY_S = 1.0
STALL_TIMEOUT_S, CLOSE_TIMEOUT_S = 5.0, 1.0
"""How long to wait for a reader of stdout that reads nothing: during the training, and at its end."""
STORAGE_TIMEOUT_S = 600.0
"""How long to wait at the end for storage that does not respond."""
ATOMIC_BYTES = 4096
"""What a pipe that polls as writable accepts without blocking (PIPE_BUF on Linux)."""
EVENT = contract.EVENT_MARK.encode() + b"{"
MAX_EVENT_BYTES = 1 << 20

EventFilter = Callable[[contract.Event], bool]
"""Called with every event; returns False to leave it out of the log."""


class Log:
    """The log of one node's attempt."""

    def __init__(
        self,
        durable: Durable,
        *,
        attempt: int,
        node: int,
        sequence: int,
        segment: int,
        mask: Mask,
        on_event: EventFilter,
        stdout: int = 1,
    ) -> None:
        self._segments = SegmentWriter(durable, partial(contract.segment_key, attempt, node), segment)
        self._events = SegmentWriter(durable, partial(contract.events_key, attempt, node), segment)
        self._stdout = StdoutWriter(stdout)
        self._stamp_prefix = f"{attempt}.{node}.".encode()
        self._next = sequence
        self._mask = mask
        self._on_event = on_event
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self._partial_event = b""

    def feed(self, data: bytes) -> None:
        """Add a chunk of the trainer's output; complete lines are written at once, the rest once it is complete."""
        head, newline, rest = data.rpartition(b"\n")
        if newline:
            if self._partial:
                head = b"".join((*self._partial, head))
            self._write(head)
            self._partial, self._partial_bytes = [], 0
        if rest:
            self._partial.append(rest)
            self._partial_bytes += len(rest)
            if self._partial_bytes > MAX_LINE_BYTES:
                self.end_line()

    def feed_events(self, data: bytes) -> None:
        """Add a chunk of the trainer's pipe for events: one JSON object a line. What is no event is written as text."""
        *lines, rest = (self._partial_event + data).split(b"\n")
        self._partial_event = rest if len(rest) <= MAX_EVENT_BYTES else b""
        for line in filter(None, lines):
            event = contract.parse_event_json(line.decode("utf-8", "replace"))
            try:
                text = json.dumps(event, allow_nan=False).encode()
            except (ValueError, RecursionError):
                event = None
            if event is None:
                self._write(line)
            elif self._on_event(event):
                self._emit_event(contract.EVENT_MARK.encode() + text)

    def end_line(self) -> None:
        """Write what was held as a line, such as a last line without a newline."""
        if self._partial:
            self._write(b"".join(self._partial))
            self._partial, self._partial_bytes = [], 0

    def say(self, text: str) -> None:
        """Write one line of the supervisor's."""
        self._write(text.replace("\n", " ").encode("utf-8", "replace"))

    def event(self, kind: str, **fields: object) -> None:
        """Write one structured line of the supervisor's."""
        self._emit_event(contract.event_line(kind, **fields).encode("utf-8", "replace"))

    def tick(self) -> None:
        """Retry writing what storage refused."""
        self._events.flush()
        self._segments.flush()

    def close(self, storage_timeout_s: float = STORAGE_TIMEOUT_S) -> None:
        """Write what is left and close the segment, waiting for storage so many seconds; stdout stays open."""
        self.end_line()
        self._stdout.finish()
        self._report_losses(finally_=True)
        self._events.close(0.0)
        self._segments.close(storage_timeout_s)

    def _write(self, block: bytes) -> None:
        lines = self._mask(block).split(b"\n")
        if EVENT in block:  # text is text whatever it looks like: only the supervisor writes events
            lines = [b" " + line if line.startswith(EVENT) else line for line in lines]
        if self._segments.lost_lines or self._stdout.lost_lines:
            self._report_losses()
        self._emit(lines)

    def _emit_event(self, line: bytes) -> None:
        self._emit([self._mask(line)], self._events)

    def _emit(self, lines: list[bytes], events: SegmentWriter | None = None) -> None:
        prefix = self._stamp_prefix
        stamped = b"".join([b"%b%d|%b\n" % (prefix, number, line) for number, line in enumerate(lines, self._next)])
        self._next += len(lines)
        if events:
            events.write(stamped, len(lines))
        self._segments.write(stamped, len(lines))
        self._stdout.write(stamped, len(lines))

    def _report_losses(self, *, finally_: bool = False) -> None:
        for writer, name in ((self._segments, "the log segments"), (self._stdout, "stdout")):
            if writer.lost_lines and (writer.flush() or finally_):
                lost, writer.lost_lines = writer.lost_lines, 0
                self._emit([b"ftsdk: warning: %d lines are missing in %b above" % (lost, name.encode())])


class SegmentWriter:
    """Writes lines to durable storage, in objects of about `Durable.segment_bytes`."""

    def __init__(self, durable: Durable, key: Callable[[int], str], number: int) -> None:
        self.lost_lines = 0
        self._durable, self._key, self._number = durable, key, number
        self._appender: Appender | None = None
        self._size = 0
        self._held = b""
        self._retry_at = 0.0

    def write(self, block: bytes, lines: int) -> None:
        """Store complete lines, or hold them, or count them as lost."""
        if self._held or self.lost_lines:
            if self.lost_lines or len(self._held) + len(block) > MAX_HELD_BYTES:
                self.lost_lines += lines
            else:
                self._held += block
            self.flush()
            return
        self._held = block
        self._store()

    def flush(self) -> bool:
        """Write what is held if a retry is due; True if nothing is held any more."""
        if self._held and time.monotonic() >= self._retry_at:
            self._store()
        return not self._held

    def close(self, timeout_s: float) -> None:
        """Retry once more, then close and wait until everything is stored, at most so many seconds."""
        self._retry_at = 0.0
        self.flush()
        self._close()
        self._durable.settle(timeout_s)

    def _close(self) -> None:
        if self._appender is not None:
            with contextlib.suppress(OSError):
                self._appender.close()
            self._appender = None

    def _store(self) -> None:
        rest = memoryview(self._held)
        try:
            while rest:
                count = self._open().write(rest)
                self._size += count
                rest = rest[count:]
        except OSError:
            self._retry_at = time.monotonic() + RETRY_S
            self._close()  # a network file system may require the file to be reopened
        self._held = bytes(rest)
        if not self._held and self._size >= self._durable.segment_bytes:
            self._close()
            self._number, self._size = self._number + 1, 0

    def _open(self) -> Appender:
        if self._appender is None:
            self._appender = self._durable.appender(self._key(self._number))
        return self._appender


class StdoutWriter:
    """Writes to a stream whose reader may be slow, stalled or gone."""

    def __init__(self, descriptor: int) -> None:
        self.lost_lines = 0
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""
        """The rest of a line that was partly written before a stall: it is written first, so that no line is cut."""
        self._chunk_bytes = _chunk_bytes(descriptor)

    def write(self, block: bytes, lines: int) -> None:
        """Write complete lines, or count them as lost."""
        if not self._chunk_bytes:
            return
        if (self.lost_lines or self._rest) and not self.flush():
            self.lost_lines += lines
            return
        written = self._push(block, STALL_TIMEOUT_S)
        if written < len(block):
            end = block.find(b"\n", written - 1 if written else 0) + 1 if written else 0
            self._rest = block[written:end]
            self.lost_lines += block.count(b"\n", max(end, 0))

    def flush(self, timeout_s: float = 0.0) -> bool:
        """True if the reader reads again and the line at which it stalled is complete."""
        self._rest = self._rest[self._push(self._rest, timeout_s) :]
        return not self._rest and bool(self._poll.poll(timeout_s * 1000))

    def finish(self) -> None:
        """Wait once more for a reader that has stalled."""
        if self._chunk_bytes and (self.lost_lines or self._rest):
            self.flush(CLOSE_TIMEOUT_S)

    def _push(self, block: bytes, timeout_s: float) -> int:
        """Write as much as the reader accepts, waiting up to `timeout_s` for each chunk; returns the bytes written."""
        done, view = 0, memoryview(block)
        while done < len(block) and self._poll.poll(timeout_s * 1000):
            try:
                done += os.write(self._descriptor, view[done : done + self._chunk_bytes])
            except OSError:
                self._chunk_bytes = 0  # the reader has closed the stream
                return len(block)
        return done


def _chunk_bytes(descriptor: int) -> int:
    """How many bytes can be written at once without blocking; 0 if there is no such stream."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return 0
    can_stall = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
    return ATOMIC_BYTES if can_stall else 1 << 30
