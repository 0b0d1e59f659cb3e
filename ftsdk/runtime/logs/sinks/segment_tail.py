"""Follows one node's log segments in durable storage, from behind any line on."""

from __future__ import annotations

from ftsdk import contract
from ftsdk.contract import Stamp
from ftsdk.runtime.storage.durable import Durable

CHUNK_BYTES = 1 << 20
STAMP_BYTES = 64
"""No stamp is longer."""


class Tail:
    """The lines of a node in their order: those of earlier attempts and starts, then those that come.

    Args:
        durable: where the segments are.
        attempt: this attempt; later segments than those found are looked for under its number.
        node: whose lines.
        behind: the last line that is already known; None begins with the first.
    """

    def __init__(self, durable: Durable, attempt: int, node: int, behind: Stamp | None) -> None:
        self._durable, self._attempt, self._node = durable, attempt, node
        found = [contract.segment_place(item.key) for item in durable.list(f"{contract.LOGS_DIR}/")]
        own = sorted((a, number) for a, n, number in filter(None, found) if n == node and a <= attempt)
        self._segments = own or [(attempt, 0)]
        self._offset = 0
        if behind:
            self._skip(behind)

    def next_lines(self) -> list[bytes]:
        """Whole lines, about CHUNK_BYTES of them; none if there is nothing new."""
        while True:
            data = self._whole_lines()
            later = data == b"" and self._later()
            if later:
                data = self._whole_lines()  # what came before the later one was begun
            if data:
                self._offset += len(data)
                return data[:-1].split(b"\n")
            if not later:
                return []
            self._segments.pop(0)
            self._offset = 0

    def _later(self) -> bool:
        """Whether a segment follows the one that is read."""
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

    def _skip(self, behind: Stamp) -> None:
        while len(self._segments) > 1 and _is_known(self._read(self._segments[1], 0, STAMP_BYTES), behind):
            self._segments.pop(0)
        while lines := self._whole_lines().splitlines(keepends=True):
            known = [line for line in lines if _is_known(line, behind)]
            self._offset += sum(map(len, known))
            if len(known) < len(lines):
                return


def _is_known(line: bytes, behind: Stamp) -> bool:
    stamp, _ = contract.split_line(line[:STAMP_BYTES].decode("utf-8", "replace"))
    return stamp is not None and (stamp.attempt, stamp.sequence) <= (behind.attempt, behind.sequence)
