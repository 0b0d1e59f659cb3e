"""Copies the job's lines and metrics to Amazon CloudWatch, wherever the job runs.

The segments in durable storage are the queue, however long the network is down, and the last event of the log stream
carries the stamp of the last line that was copied. So no line is lost or copied twice, over outages, lost responses,
and restarts on another machine. Metrics have no such mark: after a lost response or a kill a value may be counted
twice, which leaves its average, minimum and maximum unchanged.

Limits: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypedDict

from ftsdk import contract
from ftsdk.contract import Stamp
from ftsdk.contract.documents import CloudWatchLogs
from ftsdk.runtime.logs.sinks.segment_tail import SegmentTail
from ftsdk.runtime.retry import RetryPolicy

BATCH_BYTES, BATCH_EVENTS, EVENT_OVERHEAD_BYTES = 1 << 20, 10_000, 26
MESSAGE_BYTES = (256 << 10) - EVENT_OVERHEAD_BYTES
"""The maximum that every region accepts; a longer line becomes several events."""
OLDEST_S = 23 * 3600.0
"""No event is dated further back: a batch may span at most a day, and a log group may retain events for only one."""
METRICS_PER_CALL = 500
"""The service accepts 1,000 values and 1 MB; 500 with their names stay well below."""
POLL_S = 2.0
RETRY = RetryPolicy(first_pause_s=1.0, max_pause_s=60.0)
"""Pauses between two rounds while the service fails."""
UNSURE_S = 5.0
"""After a lost response: how long until the stream shows whether the events were stored."""
THROTTLED = frozenset({"ThrottlingException", "Throttling", "LimitExceededException", "ServiceUnavailableException"})


class Dimension(TypedDict):
    """Of PutMetricData."""

    Name: str
    Value: str


class Datum(TypedDict):
    """Of PutMetricData."""

    MetricName: str
    Dimensions: list[Dimension]
    Timestamp: float
    Value: float


class LogEvent(NamedTuple):
    """One log event."""

    time_s: float
    message: str
    size: int


class CloudWatchSink:
    """A thread that copies one node's lines to a log stream and the metrics among them to a namespace.

    Args:
        settings: region, log group and namespace.
        node: the node whose lines are copied; the stream is `JOB/nNODE`, over all attempts.
        tail: opens the node's lines after a given line.
        environ: searched for credentials first, before boto3's usual sources.
    """

    def __init__(
        self,
        settings: CloudWatchLogs,
        node: int,
        tail: Callable[[Stamp | None], SegmentTail],
        environ: Mapping[str, str],
    ) -> None:
        self._settings, self._environ, self._open_tail = settings, environ, tail
        self._stream = {"logGroupName": settings["log_group"], "logStreamName": f"{settings['job']}/n{node}"}
        self._tail: SegmentTail | None = None
        self._logs: Any = None
        self._metrics: Any = None
        self._events: deque[LogEvent] = deque()
        self._values: list[Datum] = []
        self._last_time_s = 0.0
        self._is_behind = True
        self._unsure = False
        self._notices: list[str] = []
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def notices(self) -> list[str]:
        """Sentences for the user since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def drain(self, timeout_s: float) -> bool:
        """Copy what is left, for at most `timeout_s` seconds; returns whether everything was copied."""
        self._finish.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- the thread -----------------------------------------------------------------------------------------
    def _run(self) -> None:
        pauses, is_failing = RETRY.pauses(), False
        while True:
            is_last = self._finish.is_set()  # read before the round, which copies everything written until now
            try:
                self._round()
            except Exception as problem:  # whatever it is, training continues, and the queue is kept
                if not is_failing:
                    self._notices.append(f"CloudWatch does not take the log ({_describe(problem)}); it is tried again.")
                is_failing = True
                time.sleep(max(next(pauses), UNSURE_S if self._unsure else 0.0))
                continue
            if is_last:
                return
            pauses, is_failing = RETRY.pauses(), False
            self._finish.wait(POLL_S)

    def _round(self) -> None:
        """Send everything that was written so far."""
        if self._tail is None:
            self._connect()
            self._tail = self._open_tail(contract.split_line(self._last_message())[0])
        while self._events or self._values or self._take(self._tail.next_lines()):
            self._send_metrics()
            self._send_events()

    def _take(self, lines: list[bytes]) -> bool:
        """Queue events and values for these lines; False if there are no lines.

        Lines carry no time. New ones are dated now; those that were queued for a while are dated by the structured
        events among them that do carry one.
        """
        now = time.time()
        texts = [line.decode("utf-8", "replace") for line in lines]
        parsed = [contract.parse_event(contract.split_line(text)[1]) for text in texts]
        times = [_time_of(event) if self._is_behind else now for event in parsed]
        self._last_time_s = self._last_time_s or next(filter(None, times), now)
        for text, event, time_s in zip(texts, parsed, times, strict=True):
            self._last_time_s = min(max(self._last_time_s, time_s or 0.0, now - OLDEST_S), now)
            self._events += (LogEvent(self._last_time_s, piece, size) for piece, size in _pieces(text))
            if event and event["event"] == contract.EVENT_METRICS:
                self._values += self._values_of(event)
        self._is_behind = bool(lines)
        return bool(lines)

    def _values_of(self, event: contract.Event) -> Iterator[Datum]:
        """Numbers only: the service refuses NaN and infinity, which events hold as strings."""
        for name in contract.METRIC_FIELDS:
            value = event.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2.0**360:
                dimensions: list[Dimension] = [{"Name": "Job", "Value": self._settings["job"]}]
                time_s = _time_of(event) or self._last_time_s
                yield {"MetricName": name, "Dimensions": dimensions, "Timestamp": time_s, "Value": value}

    def _send_metrics(self) -> None:
        while self._values:
            self._metrics.put_metric_data(
                Namespace=self._settings["namespace"], MetricData=self._values[:METRICS_PER_CALL]
            )
            del self._values[:METRICS_PER_CALL]

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

        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        keys = {name.lower(): self._environ[name] for name in names if name in self._environ}
        session = boto3.session.Session(region_name=self._settings["region"], **keys)
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30)
        self._logs, self._metrics = session.client("logs", config=once), session.client("cloudwatch", config=once)
        group, days = self._stream["logGroupName"], self._settings.get("retention_days")
        if _creates(self._logs.create_log_group, logGroupName=group) and days:
            _creates(self._logs.put_retention_policy, logGroupName=group, retentionInDays=days)
        _creates(self._logs.create_log_stream, **self._stream)

    def _put(self, batch: list[LogEvent]) -> None:
        events = [{"timestamp": int(event.time_s * 1000), "message": event.message} for event in batch]
        try:
            self._logs.put_log_events(**self._stream, logEvents=events)
        except Exception as problem:
            self._unsure = _code(problem) not in THROTTLED
            raise

    def _last_message(self) -> str:
        """The newest event's message, or an empty string. Pages may be empty; the same token again is the end."""
        token = ""
        while True:
            after = {"nextToken": token} if token else {}
            page = self._logs.get_log_events(**self._stream, limit=1, startFromHead=False, **after)
            if page["events"]:
                return str(page["events"][-1]["message"])
            if page["nextBackwardToken"] == token:
                return ""
            token = page["nextBackwardToken"]


def _creates(create: Callable[..., object], **arguments: object) -> bool:
    """Whether this call created it.

    Without permission to create groups an existing one is used; if it is missing, the first put fails.
    """
    try:
        create(**arguments)
    except Exception as problem:
        if _code(problem) not in ("ResourceAlreadyExistsException", "AccessDeniedException"):
            raise
        return False
    return True


def _time_of(event: contract.Event | None) -> float | None:
    time_s = event.get("time") if event else None
    return float(time_s) if isinstance(time_s, int | float) else None


def _batch(events: deque[LogEvent]) -> list[LogEvent]:
    """As many of the first events as one request may hold."""
    batch: list[LogEvent] = []
    room = BATCH_BYTES
    for event in events:
        room -= event.size
        if room < 0 or len(batch) == BATCH_EVENTS:
            break
        batch.append(event)
    return batch


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    """(message, size as the service counts it) of a line, split where it is too long for one event."""
    data = text.encode()
    while len(data) > MESSAGE_BYTES:
        piece = data[:MESSAGE_BYTES].decode("utf-8", "ignore")  # not in the middle of a character
        size = len(piece.encode())
        yield piece, size + EVENT_OVERHEAD_BYTES
        stamp = text.partition(contract.STAMP_END)[0]
        data = f"{stamp}{contract.STAMP_END}".encode() + data[size:]
    yield data.decode(), len(data) + EVENT_OVERHEAD_BYTES


def _code(problem: Exception) -> str:
    """The service's error code, or an empty string."""
    response = getattr(problem, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _describe(problem: Exception) -> str:
    return _code(problem) or f"{type(problem).__name__}: {str(problem).splitlines()[0][:200] if str(problem) else ''}"
