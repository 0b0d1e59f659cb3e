"""Every output line, stamped, to the supervisor's stdout and to the segments in durable storage.

What holds under stress:
- Lines pass through as bytes: carriage returns, broken UTF-8 and lines of many megabytes stay as they are. Only a
  line longer than `LONGEST_LINE` is split, since memory must stay bounded.
- Segments are the truth. If storage refuses writes (disk full), up to `HELD_BYTES` wait in memory and are written as
  soon as it takes them again; what comes beyond that is counted, and the gap shows in the stamps and in a warning.
- stdout is a courtesy. A reader that is slow is waited for; one that reads nothing for `STALL_S` loses lines until it
  reads again (again counted); one that has gone is forgotten. The trainer is never blocked for longer than that.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from ftsdk import contract
from ftsdk.runtime.logs.masking import Mask
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import FileAppender

HELD_BYTES = 16 << 20
LONGEST_LINE = 64 << 20
RETRY_S = 1.0
STALL_S, LAST_CHANCE_S = 5.0, 1.0
SETTLED_WITHIN_S = 600.0
"""At the end: how long storage that does not answer is waited for."""
ATOMIC_BYTES = 4096
"""What a pipe that polls as writable takes without blocking (PIPE_BUF on Linux)."""
EVENT = contract.EVENT_MARK.encode() + b'{"event"'

EventFilter = Callable[[dict[str, Any]], bool]
"""Sees every event; False keeps it out of the log."""


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
        self._segments = Segments(durable, attempt, node, segment)
        self._stdout = Stdout(stdout)
        self._head = f"{attempt}.{node}.".encode()
        self._next = sequence
        self._mask = mask
        self._on_event = on_event
        self._partial: list[bytes] = []
        self._partial_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take a piece of the trainer's output; whole lines go out at once, the rest waits for its end."""
        head, newline, rest = data.rpartition(b"\n")
        if newline:
            if self._partial:
                head = b"".join((*self._partial, head))
            self._write(head)
            self._partial, self._partial_bytes = [], 0
        if rest:
            self._partial.append(rest)
            self._partial_bytes += len(rest)
            if self._partial_bytes > LONGEST_LINE:
                self.end_line()

    def end_line(self) -> None:
        """The trainer's last line may lack its newline: it counts as a line."""
        if self._partial:
            self._write(b"".join(self._partial))
            self._partial, self._partial_bytes = [], 0

    def say(self, text: str) -> None:
        """One line of the supervisor's own."""
        self._write(text.replace("\n", " ").encode("utf-8", "replace"))

    def event(self, kind: str, **fields: Any) -> None:
        """One structured line of the supervisor's own."""
        self.say(contract.event_line(kind, **fields))

    def tick(self) -> None:
        """Try again to write what storage refused."""
        self._segments.flush()

    def close(self) -> None:
        """Write what is left and close the segment; stdout stays open."""
        self.end_line()
        self._stdout.settle()
        self._tell_losses(finally_=True)
        self._segments.close()

    def _write(self, block: bytes) -> None:
        lines = self._mask(block).split(b"\n")
        if EVENT in block:
            lines = list(self._without_dropped(lines))
        if self._segments.lost_lines or self._stdout.lost_lines:
            self._tell_losses()
        self._emit(lines)

    def _emit(self, lines: list[bytes]) -> None:
        head = self._head
        stamped = b"".join([b"%b%d|%b\n" % (head, number, line) for number, line in enumerate(lines, self._next)])
        self._next += len(lines)
        self._segments.write(stamped, len(lines))
        self._stdout.write(stamped, len(lines))

    def _without_dropped(self, lines: list[bytes]) -> Iterator[bytes]:
        """Show events to the filter. One that another process's unfinished line precedes gets a line of its own."""
        for line in lines:
            at = line.find(EVENT)
            event = contract.parse_event(line[at:].decode("utf-8", "replace")) if at >= 0 else None
            if event is None:
                yield line
                continue
            if at:
                yield line[:at]
            if self._on_event(event):
                yield line[at:]

    def _tell_losses(self, *, finally_: bool = False) -> None:
        for what, place in ((self._segments, "the log segments"), (self._stdout, "stdout")):
            if what.lost_lines and (what.flush() or finally_):
                lost, what.lost_lines = what.lost_lines, 0
                self._emit([b"ftsdk: warning: %d lines are missing in %b above" % (lost, place.encode())])


class Segments:
    """The lines in durable storage, in objects of about the size that it likes best."""

    def __init__(self, durable: Durable, attempt: int, node: int, number: int) -> None:
        self.lost_lines = 0
        self._durable, self._attempt, self._node, self._number = durable, attempt, node, number
        self._appender: FileAppender | None = None
        self._size = 0
        self._held = b""
        self._retry_at = 0.0

    def write(self, block: bytes, lines: int) -> None:
        """Store whole lines, or hold them, or count them as lost."""
        if self._held or self.lost_lines:
            if self.lost_lines or len(self._held) + len(block) > HELD_BYTES:
                self.lost_lines += lines
            else:
                self._held += block
            self.flush()
            return
        self._held = block
        self._store()

    def flush(self) -> bool:
        """Write what is held if it is time to try again; True if nothing is held any more."""
        if self._held and time.monotonic() >= self._retry_at:
            self._store()
        return not self._held

    def close(self) -> None:
        """One last try, then close and wait until all is stored."""
        self._retry_at = 0.0
        self.flush()
        self._close()
        self._durable.settle(SETTLED_WITHIN_S)

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
            self._close()  # a network file system may want the file opened anew
        self._held = bytes(rest)
        if not self._held and self._size >= self._durable.segment_bytes:
            self._close()
            self._number, self._size = self._number + 1, 0

    def _open(self) -> FileAppender:
        if self._appender is None:
            self._appender = self._durable.appender(contract.segment_key(self._attempt, self._node, self._number))
        return self._appender


class Stdout:
    """A stream whose reader may be slow, stalled or gone."""

    def __init__(self, descriptor: int) -> None:
        self.lost_lines = 0
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""
        """The end of a line that was begun before a stall: it goes first, so that no line is cut."""
        self._piece = _piece_bytes(descriptor)

    def write(self, block: bytes, lines: int) -> None:
        """Write whole lines, or count them as lost."""
        if not self._piece:
            return
        if (self.lost_lines or self._rest) and not self.flush():
            self.lost_lines += lines
            return
        written = self._push(block, STALL_S)
        if written < len(block):
            end = block.find(b"\n", written - 1 if written else 0) + 1 if written else 0
            self._rest = block[written:end]
            self.lost_lines += block.count(b"\n", max(end, 0))

    def flush(self, patience_s: float = 0.0) -> bool:
        """True if the reader reads again and the line that it stopped in is whole."""
        self._rest = self._rest[self._push(self._rest, patience_s) :]
        return not self._rest and bool(self._poll.poll(patience_s * 1000))

    def settle(self) -> None:
        """A last chance for a reader that has stalled."""
        if self._piece and (self.lost_lines or self._rest):
            self.flush(LAST_CHANCE_S)

    def _push(self, block: bytes, patience_s: float) -> int:
        """Write as much as the reader takes, waiting up to `patience_s` for each piece."""
        done, view = 0, memoryview(block)
        while done < len(block) and self._poll.poll(patience_s * 1000):
            try:
                done += os.write(self._descriptor, view[done : done + self._piece])
            except OSError:
                self._piece = 0  # the reader has gone
                return len(block)
        return done


def _piece_bytes(descriptor: int) -> int:
    """How much to write at once without risking to block; 0 if there is no such stream."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return 0
    can_stall = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
    return ATOMIC_BYTES if can_stall else 1 << 30
