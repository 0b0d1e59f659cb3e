"""The job's lines and metrics in Amazon CloudWatch, from wherever the job runs.

The segments in durable storage are the queue, however long the network is gone, and the log stream itself says how far
they have come: its last event carries its line's stamp. So nothing is lost, and no line comes twice, over outages,
answers that got lost, and restarts on another machine. Metrics have no such mark: after a lost answer or a kill a value
may be counted twice, which leaves its average, minimum and maximum as they are.

Limits: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ftsdk import contract
from ftsdk.contract import Stamp
from ftsdk.contract.documents import CloudWatchLogs
from ftsdk.runtime.logs.sinks.segment_tail import Tail

BATCH_BYTES, BATCH_EVENTS, EVENT_OVERHEAD_BYTES = 1 << 20, 10_000, 26
MESSAGE_BYTES = (256 << 10) - EVENT_OVERHEAD_BYTES
"""What every region takes; a longer line becomes several events."""
OLDEST_S = 23 * 3600.0
"""No event is dated further back: a batch may span a day, and a log group may keep its events no longer than one."""
METRICS_AT_ONCE = 500
"""The service takes 1,000 values and 1 MB; 500 with their names stay well below."""
POLL_S = 2.0
PAUSE_MIN_S, PAUSE_MAX_S = 1.0, 60.0
UNSURE_S = 5.0
"""After an answer that got lost: how long until the stream shows whether the events came through."""
THROTTLED = frozenset({"ThrottlingException", "Throttling", "LimitExceededException", "ServiceUnavailableException"})


class Event(NamedTuple):
    """One log event."""

    time_s: float
    message: str
    size: int


class CloudWatch:
    """A thread that brings one node's lines to a log stream and the metrics among them to a namespace.

    Args:
        settings: where to.
        node: whose lines; the stream is `JOB/nNODE`, over all attempts.
        tail: opens the node's lines behind a line.
        environ: where credentials are looked for first; then boto3 looks where it always does.
    """

    def __init__(
        self, settings: CloudWatchLogs, node: int, tail: Callable[[Stamp | None], Tail], environ: Mapping[str, str]
    ) -> None:
        self._settings, self._environ, self._open_tail = settings, environ, tail
        self._stream = {"logGroupName": settings["log_group"], "logStreamName": f"{settings['job']}/n{node}"}
        self._tail: Tail | None = None
        self._logs: Any = None
        self._metrics: Any = None
        self._events: deque[Event] = deque()
        self._values: list[dict[str, Any]] = []
        self._last_time_s = 0.0
        self._is_behind = True
        self._unsure = False
        self._notices: list[str] = []
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def notices(self) -> list[str]:
        """What a person should know, since the last call."""
        said, self._notices = self._notices, []
        return said

    def drain(self, patience_s: float) -> bool:
        """Bring over what is left, at most so many seconds; whether all of it came over."""
        self._finish.set()
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    # --- the thread -----------------------------------------------------------------------------------------
    def _run(self) -> None:
        pause_s = PAUSE_MIN_S
        while True:
            is_last = self._finish.is_set()  # before the round: what was written until now is in it
            try:
                self._round()
            except Exception as problem:  # whatever it is, training goes on, and what waits is not lost
                if pause_s == PAUSE_MIN_S:
                    self._notices.append(f"CloudWatch does not take the log ({_said(problem)}); it is tried again.")
                time.sleep(max(pause_s, UNSURE_S if self._unsure else 0.0))
                pause_s = min(2 * pause_s, PAUSE_MAX_S)
                continue
            if is_last:
                return
            pause_s = PAUSE_MIN_S
            self._finish.wait(POLL_S)

    def _round(self) -> None:
        """Send all there is."""
        if self._tail is None:
            self._connect()
            self._tail = self._open_tail(_stamp_of(self._last_message()))
        while self._events or self._values or self._take(self._tail.next_lines()):
            self._send_metrics()
            self._send_events()

    def _take(self, lines: list[bytes]) -> bool:
        """Make events and values of lines; False if there are none.

        Lines say nothing of when they were written. Those that have just come are dated now; those that waited are
        dated by the events among them that do say it.
        """
        now = time.time()
        texts = [line.decode("utf-8", "replace") for line in lines]
        found = [contract.parse_event(contract.split_line(text)[1]) for text in texts]
        times = [_time_of(event) if self._is_behind else now for event in found]
        self._last_time_s = self._last_time_s or next(filter(None, times), now)
        for text, event, time_s in zip(texts, found, times, strict=True):
            self._last_time_s = min(max(self._last_time_s, time_s or 0.0, now - OLDEST_S), now)
            self._events += (Event(self._last_time_s, piece, size) for piece, size in _pieces(text))
            if event and event["event"] == contract.EVENT_METRICS:
                self._values += self._values_of(event)
        self._is_behind = bool(lines)
        return bool(lines)

    def _values_of(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Numbers only: the service refuses NaN and infinity, which travel as strings."""
        for name in contract.METRIC_FIELDS:
            value = event.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2.0**360:
                dimensions = [{"Name": "Job", "Value": self._settings["job"]}]
                time_s = _time_of(event) or self._last_time_s
                yield {"MetricName": name, "Dimensions": dimensions, "Timestamp": time_s, "Value": value}

    def _send_metrics(self) -> None:
        while self._values:
            self._metrics.put_metric_data(
                Namespace=self._settings["namespace"], MetricData=self._values[:METRICS_AT_ONCE]
            )
            del self._values[:METRICS_AT_ONCE]

    def _send_events(self) -> None:
        while self._events:
            batch = _batch(self._events)
            if not (self._unsure and self._last_message() == batch[-1].message):
                self._put(batch)
            self._unsure = False
            for _ in batch:
                self._events.popleft()

    # --- the service ----------------------------------------------------------------------------------------
    def _connect(self) -> None:
        import boto3
        from botocore.config import Config

        given = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        keys = {name.lower(): self._environ[name] for name in given if name in self._environ}
        session = boto3.session.Session(region_name=self._settings["region"], **keys)
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30)
        self._logs, self._metrics = session.client("logs", config=once), session.client("cloudwatch", config=once)
        for create, name in ((self._logs.create_log_group, "logGroupName"), (self._logs.create_log_stream, "")):
            arguments = {name: self._stream[name]} if name else self._stream
            try:
                create(**arguments)
            except Exception as problem:
                # Whoever may not create groups writes to one that is there; if none is, the first put says so.
                if _code(problem) not in ("ResourceAlreadyExistsException", "AccessDeniedException"):
                    raise

    def _put(self, batch: list[Event]) -> None:
        events = [{"timestamp": int(event.time_s * 1000), "message": event.message} for event in batch]
        try:
            self._logs.put_log_events(**self._stream, logEvents=events)
        except Exception as problem:
            self._unsure = _code(problem) not in THROTTLED
            raise

    def _last_message(self) -> str:
        """The newest event's message, or an empty string."""
        found = self._logs.get_log_events(**self._stream, limit=1, startFromHead=False)["events"]
        return str(found[-1]["message"]) if found else ""


def _time_of(event: dict[str, Any] | None) -> float | None:
    told = event.get("time") if event else None
    return float(told) if isinstance(told, int | float) else None


def _batch(events: deque[Event]) -> list[Event]:
    """As many of the first events as one request may have."""
    batch: list[Event] = []
    room = BATCH_BYTES
    for event in events:
        room -= event.size
        if room < 0 or len(batch) == BATCH_EVENTS:
            break
        batch.append(event)
    return batch


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    """(message, size as the service counts it) of a line, cut where it is too long for one event."""
    data = text.encode()
    while len(data) > MESSAGE_BYTES:
        piece = data[:MESSAGE_BYTES].decode("utf-8", "ignore")  # not in the middle of a character
        size = len(piece.encode())
        yield piece, size + EVENT_OVERHEAD_BYTES
        stamp = text.partition(contract.STAMP_END)[0]
        data = f"{stamp}{contract.STAMP_END}".encode() + data[size:]
    yield data.decode(), len(data) + EVENT_OVERHEAD_BYTES


def _stamp_of(message: str) -> Stamp | None:
    return contract.split_line(message)[0]


def _code(problem: Exception) -> str:
    """The service's own word for an error, or an empty string."""
    answer = getattr(problem, "response", {})
    return str(answer.get("Error", {}).get("Code", ""))


def _said(problem: Exception) -> str:
    return _code(problem) or f"{type(problem).__name__}: {str(problem).splitlines()[0][:200] if str(problem) else ''}"
