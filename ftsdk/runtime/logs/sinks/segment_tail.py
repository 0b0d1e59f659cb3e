"""Follows one node's log segments in durable storage, starting after any line."""

from __future__ import annotations

from ftsdk import contract
from ftsdk.contract import Stamp
from ftsdk.runtime.storage.durable import Durable

CHUNK_BYTES = 1 << 20
STAMP_BYTES = 64
"""No stamp is longer."""


class SegmentTail:
    """The lines of a node in order: those of previous attempts and starts, then new ones.

    Args:
        durable: the storage that holds the segments.
        attempt: the current attempt, whose new segments are followed.
        node: the node whose lines are read.
        after: the last line that was already read; None starts with the first.
    """

    def __init__(self, durable: Durable, attempt: int, node: int, after: Stamp | None) -> None:
        self._durable, self._attempt, self._node = durable, attempt, node
        segments = [contract.parse_segment_key(item.key) for item in durable.list(f"{contract.LOGS_DIR}/")]
        own = sorted((a, number) for a, n, number in filter(None, segments) if n == node and a <= attempt)
        self._segments = own or [(attempt, 0)]
        self._offset = 0
        if after:
            self._skip(after)

    def next_lines(self) -> list[bytes]:
        """Complete lines, about CHUNK_BYTES of them; none if there is nothing new."""
        while True:
            data = self._whole_lines()
            has_next = data == b"" and self._has_next_segment()
            if has_next:
                data = self._whole_lines()  # written before the next segment was begun
            if data:
                self._offset += len(data)
                return data[:-1].split(b"\n")
            if not has_next:
                return []
            self._segments.pop(0)
            self._offset = 0

    def _has_next_segment(self) -> bool:
        """Whether a segment follows the current one."""
        if len(self._segments) > 1:
            return True
        attempt, number = self._segments[0]
        following = (attempt, number + 1) if attempt == self._attempt else (self._attempt, 0)
        if not self._read(following, 0, 1):
            return False
        self._segments.append(following)
        return True

    def _whole_lines(self) -> bytes:
        length = CHUNK_BYTES
        while True:
            data = self._read(self._segments[0], self._offset, length)
            if (end := data.rfind(b"\n") + 1) or len(data) < length:
                return data[:end]
            length *= 2  # one line longer than a chunk

    def _read(self, segment: tuple[int, int], start: int, length: int) -> bytes:
        attempt, number = segment
        try:
            return self._durable.read(contract.segment_key(attempt, self._node, number), start, length)
        except FileNotFoundError:
            return b""

    def _skip(self, after: Stamp) -> None:
        while len(self._segments) > 1 and _is_read(self._read(self._segments[1], 0, STAMP_BYTES), after):
            self._segments.pop(0)
        while lines := self._whole_lines().splitlines(keepends=True):
            read = [line for line in lines if _is_read(line, after)]
            self._offset += sum(map(len, read))
            if len(read) < len(lines):
                return


def _is_read(line: bytes, after: Stamp) -> bool:
    stamp, _ = contract.split_line(line[:STAMP_BYTES].decode("utf-8", "replace"))
    return stamp is not None and (stamp.attempt, stamp.sequence) <= (after.attempt, after.sequence)
