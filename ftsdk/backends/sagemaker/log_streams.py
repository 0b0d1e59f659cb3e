"""A job's lines from CloudWatch: every stream of an attempt, also those that a restart opens later.

Each stream has its own token. A node's streams are read one after the other: the next one begins once the one before
has ended with an outcome event, or `DRAIN_S` after the next was opened, since events may be late. The cursor of a line
is its stamp. Lines without a stamp, and lines of a restart that repeats sequence numbers, are numbered after the line
before, in the same way for every reader.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ftsdk import contract
from ftsdk.backends.sagemaker.service import AwsRefusedError, AwsServices
from ftsdk.backends.sagemaker.shapes import LogPage, LogStream
from ftsdk.contract import Stamp
from ftsdk.storage.records import LogLine

GROUP: Final = "/aws/sagemaker/TrainingJobs"
STREAM: Final = re.compile(r"/algo-(\d+)-")
DRAIN_S: Final = 10.0
"""Events reach CloudWatch seconds after they were written (published measurements: under 5 s)."""
POLL_MIN_S, POLL_MAX_S = 0.5, 5.0
SHORTEST_CUT: Final = 16 << 10
"""Platforms cut long lines: CloudWatch events hold 256 KB, Docker's log driver has pieces of 16 KB. Who is shorter is
whole, and who has no stamp and follows such a piece is the rest of its line: the supervisor stamps every line once.
The last piece is shorter than the one before."""
CHARACTER_BYTES: Final = 4
"""Bytes by which a cut may be moved to the next whole character."""
LAST_WORD: Final = f'{contract.EVENT_MARK}{{"event": "{contract.EVENT_OUTCOME}"'

Ended = Callable[[], float | None]
"""Seconds since the epoch at which the attempt ended; None while it runs."""


class Stream(NamedTuple):
    """One start of one node."""

    created_at: float
    """Seconds since the epoch."""
    name: str
    node: int


class CloudWatchReader:
    """Reads attempts' lines behind a cursor."""

    def __init__(self, services: AwsServices, seen: dict[int, Stamp]) -> None:
        self._services = services
        self._seen = seen

    def attempt(self, native: str, number: int, *, num_nodes: int, follow: bool, ended: Ended) -> Iterator[LogLine]:
        """Lines of one attempt, nodes in turns; with `follow` until it has ended and nothing more can come."""
        if self._seen and all(stamp.attempt > number for stamp in self._seen.values()):
            return
        nodes = {node: NodeLogReader(self._services, number, node) for node in range(num_nodes)}
        pause_s = POLL_MIN_S
        while True:
            ended_at = ended()  # before reading: lines written until then are read
            for stream in self._streams(native):
                if stream.node in nodes:
                    nodes[stream.node].add(stream)
            quiet, drained = True, ended_at is not None and time.time() - ended_at > DRAIN_S
            for tail in nodes.values():
                for line in self._unseen(tail, drained=drained):
                    quiet = False
                    yield line
            if ended_at is None and not follow:
                return
            if ended_at is not None and quiet and (drained or all(tail.is_complete for tail in nodes.values())):
                return
            pause_s = min(pause_s * 1.5, POLL_MAX_S) if quiet else POLL_MIN_S
            if quiet:
                time.sleep(pause_s)

    def _unseen(self, tail: NodeLogReader, *, drained: bool) -> Iterator[LogLine]:
        """A node's new lines behind the cursor; the other nodes' positions are in the cursor too."""
        node = tail.node
        others = "".join(f",{stamp}" for other, stamp in sorted(self._seen.items()) if other != node)
        for stamp, text in tail.lines(drained=drained):
            if node not in self._seen or stamp > self._seen[node]:
                self._seen[node] = stamp
                yield LogLine(text, f"{stamp}{others}")

    def _streams(self, native: str) -> list[Stream]:
        """The existing streams, oldest first."""
        rows: list[LogStream] = []
        prefix = f"{native}/"
        try:
            for page in self._services.pages(
                "logs", "describe_log_streams", logGroupName=GROUP, logStreamNamePrefix=prefix
            ):
                rows += page["logStreams"]
        except AwsRefusedError as problem:
            if problem.code != "ResourceNotFoundException":  # the group is created with the account's first job
                raise
        named = [(row, STREAM.search(row["logStreamName"])) for row in rows]
        streams = [
            Stream(row["creationTime"] / 1000, row["logStreamName"], int(match[1]) - 1) for row, match in named if match
        ]
        return sorted(streams)


class NodeLogReader:
    """One node's streams in an attempt."""

    def __init__(self, services: AwsServices, attempt: int, node: int) -> None:
        self._services = services
        self._attempt, self.node = attempt, node
        self._streams: list[Stream] = []
        self._current = 0
        self._token: str | None = None
        self._last = -1
        self._offset = 0
        self._pieces: list[str] = []
        """A line that may go on in the next message."""
        self._is_finished = False
        """Whether the current stream has ended with an outcome event."""

    @property
    def is_complete(self) -> bool:
        """Whether the newest stream has ended with an outcome event."""
        return self._is_finished and self._current == len(self._streams) - 1

    def add(self, stream: Stream) -> None:
        """Add a stream unless it is known."""
        if stream not in self._streams:
            self._streams.append(stream)

    def lines(self, *, drained: bool) -> Iterator[tuple[Stamp, str]]:
        """New lines as (stamp, text); `drained`: no more late events are expected."""
        while self._streams:
            for message in self._messages():
                if len(message) < SHORTEST_CUT and not self._pieces:
                    yield self._placed(message)
                else:
                    yield from self._joined(message)
            is_over = self._is_over(drained=drained)
            if drained or is_over:
                yield from self._whole()
            if not is_over:
                return
            self._current, self._token, self._is_finished = self._current + 1, None, False

    def _is_over(self, *, drained: bool) -> bool:
        """Whether the stream that is read can be left for the next one."""
        if self._current + 1 >= len(self._streams):
            return False
        age_s = time.time() - self._streams[self._current + 1].created_at
        return drained or self._is_finished or age_s > DRAIN_S

    def _messages(self) -> Iterator[str]:
        while True:
            page = self._page()
            for event in page["events"]:
                yield event["message"]
            same = page["nextForwardToken"] == self._token  # the current end
            self._token = page["nextForwardToken"]
            if same:
                return

    def _page(self) -> LogPage:
        after = {"nextToken": self._token} if self._token else {}
        name = self._streams[self._current].name
        page: LogPage = self._services.call(
            "logs", "get_log_events", logGroupName=GROUP, logStreamName=name, startFromHead=True, **after
        )
        return page

    def _joined(self, message: str) -> Iterator[tuple[Stamp, str]]:
        """Lines that are complete after this message."""
        if contract.split_line(message)[0] is not None:
            yield from self._whole()
        is_shorter = bool(self._pieces) and len(message.encode()) + CHARACTER_BYTES < len(self._pieces[-1].encode())
        self._pieces.append(message)
        if is_shorter or len(message) < SHORTEST_CUT:
            yield from self._whole()

    def _whole(self) -> Iterator[tuple[Stamp, str]]:
        """The line that was incomplete so far."""
        if self._pieces:
            yield self._placed("".join(self._pieces))
            self._pieces = []

    def _placed(self, message: str) -> tuple[Stamp, str]:
        stamp, text = contract.split_line(message)
        if stamp is None:
            self._last += 1
        else:
            if stamp.sequence + self._offset <= self._last:
                self._offset = self._last + 1 - stamp.sequence
            self._last = stamp.sequence + self._offset
            self._is_finished = text.startswith(LAST_WORD)
        return Stamp(self._attempt, self.node, self._last), text
