"""All jobs of all backends: what the platforms say, joined with what the journal knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ftsdk import backends
from ftsdk.backends.base import JobInfo, JobState
from ftsdk.errors import BackendError
from ftsdk.jobs import journal


def jobs(backend: str | None = None, *, on_problem: Callable[[str], None]) -> Iterator[tuple[str, JobInfo]]:
    """(URI, state) of every job, newest first per backend; a backend that does not answer is told to `on_problem`.

    A job that the journal started and its platform no longer has is shown as FAILED, reason `lost`.
    """
    seen: set[str] = set()
    answered: set[str] = set()
    known = {(entry.backend, entry.name): entry.uri for entry in journal.entries()}
    for name in [backend] if backend else backends.names():
        try:
            place = backends.get(name)
            for info in place.list():
                uri = known.get((name, info.name)) or backends.uri_of(place, info.name)
                seen.add(uri)
                yield uri, info
            answered.add(name)
        except BackendError as problem:
            if backend or any(entry.backend == name for entry in journal.entries()):
                on_problem(f"{name}: {problem}")
    for entry in journal.entries():
        if entry.backend in answered and entry.uri not in seen:
            gone = "The platform has no such job any more."
            yield (
                entry.uri,
                JobInfo(
                    name=entry.name,
                    state=JobState.FAILED,
                    reason="lost",
                    message=gone,
                    attempt=entry.attempt,
                    created_at=entry.intended_at,
                ),
            )
