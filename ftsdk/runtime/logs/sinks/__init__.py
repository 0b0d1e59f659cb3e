"""Copies of the log elsewhere. They read the segments in durable storage, so they lose nothing and hold nothing up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ftsdk.runtime.storage.durable import Durable

if TYPE_CHECKING:
    from ftsdk.runtime.supervisor.start import Start


class Sink(Protocol):
    """A copy that is made in the background."""

    def notices(self) -> list[str]:
        """What a person should know, since the last call."""

    def drain(self, patience_s: float) -> bool:
        """Bring over what is left, at most so many seconds; whether all of it came over."""


class NoSink:
    """Where no copy is wanted."""

    def notices(self) -> list[str]:
        return []

    def drain(self, patience_s: float) -> bool:
        return True


def open_sink(start: Start, durable: Durable, environ: Mapping[str, str]) -> Sink:
    """The sink that the job document asks for."""
    settings, node = start.document["cloudwatch"], start.cluster.node_rank
    if settings is None:
        return NoSink()
    from ftsdk.runtime.logs.sinks.cloudwatch import CloudWatch
    from ftsdk.runtime.logs.sinks.segment_tail import Tail

    return CloudWatch(settings, node, partial(Tail, durable, start.attempt, node), {**environ, **start.secrets})
