"""Copies of the log in other services. They read the segments in durable storage, so they never block the training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from ftsdk.contract.documents import CloudWatchLogs
from ftsdk.runtime.storage.durable import Durable


class Sink(Protocol):
    """A copy that is made in the background."""

    def notices(self) -> list[str]:
        """Sentences for the user since the last call."""

    def drain(self, timeout_s: float) -> bool:
        """Copy what is left, for at most `timeout_s` seconds; returns whether everything was copied."""


class NullSink:
    """Makes no copy."""

    def notices(self) -> list[str]:
        return []

    def drain(self, timeout_s: float) -> bool:
        return True


def open_sink(
    settings: CloudWatchLogs | None, durable: Durable, attempt: int, node: int, environ: Mapping[str, str]
) -> Sink:
    """The sink that the job document describes; `environ` holds its credentials."""
    if settings is None:
        return NullSink()
    from ftsdk.runtime.logs.sinks.cloudwatch import CloudWatchSink
    from ftsdk.runtime.logs.sinks.segment_tail import SegmentTail

    return CloudWatchSink(settings, node, partial(SegmentTail, durable, attempt, node), environ)
