"""All jobs of all backends: the platforms' lists, joined with this machine's journal."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from heapq import nlargest
from itertools import islice
from typing import NamedTuple

from ftsdk import backends
from ftsdk.backends.base import JobInfo, JobState
from ftsdk.contract import Reason
from ftsdk.errors import BackendError
from ftsdk.jobs import journal


class ListedJob(NamedTuple):
    """A job in a list: `Job.attach(uri)` opens it."""

    uri: str
    info: JobInfo


def list_jobs(
    backend: str | None = None, *, limit: int | None = None, on_problem: Callable[[str], None] = warnings.warn
) -> Iterator[ListedJob]:
    """Every job, newest first per backend; `on_problem` is called with a sentence on a backend that does not answer.

    With `limit` only so many, the newest of all backends first; of each backend no more than these are looked at.
    A job that the journal started and its platform no longer has is shown as FAILED, reason `lost`. Raises
    NotInstalledError or SpecError for a named `backend` that is not there.
    """
    listed = _listed(backend, limit, on_problem)
    return listed if limit is None else iter(nlargest(limit, listed, key=lambda job: job.info.created_at or 0.0))


def _listed(backend: str | None, limit: int | None, on_problem: Callable[[str], None]) -> Iterator[ListedJob]:
    listed: set[str] = set()
    answered: set[str] = set()
    entries = journal.entries()
    started = {(entry.backend, entry.name): entry.uri for entry in entries}
    for name in [backend] if backend else backends.names():
        try:
            place = backends.get(name)
            others = len(listed)
            for info in islice(place.list(), limit):
                uri = started.get((name, info.name)) or backends.uri_of(place, info.name)
                listed.add(uri)
                yield ListedJob(uri, info)
            if len(listed) - others != limit:  # else there may be more, and what is not in the list is not lost
                answered.add(name)
        except BackendError as problem:
            if backend or any(entry.backend == name for entry in entries):
                on_problem(f"{name}: {problem}")
    for entry in entries:
        if entry.backend in answered and entry.uri not in listed:
            yield ListedJob(entry.uri, _lost(entry))


def _lost(entry: journal.Entry) -> JobInfo:
    return JobInfo(
        name=entry.name,
        state=JobState.FAILED,
        reason=Reason.LOST,
        message="The platform has no such job any more.",
        attempt=entry.attempt,
        created_at=entry.intended_at,
    )
