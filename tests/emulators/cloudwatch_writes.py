"""CloudWatch over real HTTP: moto's, with the limits that the real service has, and its ways to say no."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import boto3

from tests.emulators.buckets import KEY, SECRET, Buckets, Environ

REGION = "us-west-2"


class CloudWatchServer(Buckets):
    """Logs and metrics. `lost_answers` counts calls that write events and whose answer is an error all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.empty_pages = 0
        """So many answers of each read are empty, with a new token, before the one with the events."""
        self.puts: list[list[dict[str, Any]]] = []
        """The events of every PutLogEvents that was taken."""
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
        self.logs = boto3.client("logs", endpoint_url=self.url, region_name=REGION, **keys)
        self.metrics = boto3.client("cloudwatch", endpoint_url=self.url, region_name=REGION, **keys)

    def messages(self, group: str, stream: str) -> list[str]:
        """All messages of a stream."""
        found, token = [], {}
        while True:
            page = self.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
            found += [event["message"] for event in page["events"]]
            if token == {"nextToken": page["nextForwardToken"]}:
                return found
            token = {"nextToken": page["nextForwardToken"]}

    def values(self, namespace: str, name: str, job: str) -> list[float]:
        """All values of a metric, oldest first."""
        query = {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": "Job", "Value": job}]}
        found = self.metrics.get_metric_statistics(
            **query, StartTime=0, EndTime=4102444800, Period=1, Statistics=["Sum"]
        )["Datapoints"]
        return [point["Sum"] for point in sorted(found, key=lambda point: point["Timestamp"])]

    def _answer(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        call = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if call == "GetLogEvents" and self.empty_pages:
            return self._read(environ, start)
        if call not in ("PutLogEvents", "PutMetricData"):
            return self._moto(environ, start)
        self.calls.append(call)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if self.answers:
            return _refuse(start, *self.answers.pop(0))
        if call == "PutLogEvents":
            events = json.loads(body)["logEvents"]
            if said := broken_limit(events):
                return _refuse(start, 400, said)
            self.puts.append(events)
            if self.lost_answers:
                self.lost_answers -= 1
                list(self._moto(environ, lambda status, headers, exc=None: None))
                return _refuse(start, 500, "InternalFailure")
        return self._moto(environ, start)

    def _read(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """GetLogEvents' reference: a page may have no events although there are more; its token then goes on."""
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        token = str(asked.get("nextToken", "empty-0"))
        number = int(token.removeprefix("empty-")) if token.startswith("empty-") else self.empty_pages
        if number < self.empty_pages:
            after = f"empty-{number + 1}"
            body = json.dumps({"events": [], "nextForwardToken": after, "nextBackwardToken": after}).encode()
            start("200 OK", [("content-type", "application/x-amz-json-1.1")])
            return [body]
        if token.startswith("empty-"):
            del asked["nextToken"]
        body = json.dumps(asked).encode()
        environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        return self._moto(environ, start)


def broken_limit(events: list[dict[str, Any]]) -> str:
    """The limit of PutLogEvents that a batch does not keep, or an empty string."""
    times = [event["timestamp"] for event in events]
    sizes = [len(event["message"].encode()) + 26 for event in events]
    checks = {
        "TooManyEvents": len(events) > 10_000,
        "BatchTooLarge": sum(sizes) > 1_048_576,
        "EventTooLarge": max(sizes) > 256 * 1024,
        "EmptyMessage": min(sizes) == 26,
        "NotInOrder": times != sorted(times),
        "SpansMoreThanADay": times[-1] - times[0] > 24 * 3600 * 1000,
    }
    return next((name for name, is_broken in checks.items() if is_broken), "")


def _refuse(start: Callable[..., Any], status: int, code: str) -> Iterable[bytes]:
    body = json.dumps({"__type": code, "message": code}).encode()
    start(f"{status} Error", [("content-type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code)])
    return [body]
