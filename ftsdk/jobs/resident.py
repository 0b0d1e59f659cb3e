"""Watching many jobs: look at each again and again, and start what its retry policy says."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ftsdk.backends.base import SupportsActiveJobs
from ftsdk.errors import AuthError, BackendError, FtsdkError, JobNotFoundError
from ftsdk.jobs import journal, notifying
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.retrying import Decision
from ftsdk.jobs.watching import may_leave_spot, reconcile

WATCH_EVERY_S = 15.0
"""Between two looks at a job."""
FRESH_S = 86_400.0
"""A job that was not named and that failed longer ago counts as given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """The result of one look at a job: a decision, or a problem."""

    uri: str
    attempt: int | None = None
    decision: Decision | None = None
    problem: FtsdkError | None = None
    """Why the job could not be looked at; JobNotFoundError and AuthError are final, others are tried again."""


def watch(jobs: Sequence[str] = (), *, every_s: float = WATCH_EVERY_S, once: bool = False) -> Iterator[WatchEvent]:
    """Look at jobs every `every_s` seconds and start what their retry policies say; yields every new decision.

    Ends when all named `jobs` are over, or after one look at each with `once`. Without names it goes on for all
    unfinished jobs of this machine's journal; what failed more than a day ago is left alone.
    """
    watcher = _Watcher(fresh_s=None if jobs else FRESH_S, notify=notifying.settings())
    while True:
        yield from watcher.round(watcher.open(jobs))
        if once or (jobs and not watcher.open(jobs)):
            return
        time.sleep(every_s)


@dataclass(slots=True)
class _Watcher:
    fresh_s: float | None
    notify: notifying.Settings | None
    over: set[str] = field(default_factory=set)
    last: dict[str, WatchEvent] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    """Seconds since the epoch before which a job needs no look."""
    attached: dict[str, JobReference] = field(default_factory=dict)

    def open(self, jobs: Sequence[str]) -> list[str]:
        """The jobs that are not over."""
        return [job for job in jobs or journal.unfinished() if job not in self.over]

    def round(self, uris: Sequence[str]) -> Iterator[WatchEvent]:
        """One look at each; yields what is new."""
        active = self._active(uris)
        for uri in uris:
            yield from self.look(uri, active)

    def look(self, uri: str, active: set[str]) -> Iterator[WatchEvent]:
        """One look, if it is time for it; yields nothing if nothing is new. `active`: jobs known to go on."""
        if time.time() < self.not_before.get(uri, 0.0):
            return
        look = self._look(uri, active)
        is_news = look.problem or (look.decision and (look.decision.why or look.decision.action != "wait"))
        if is_news and _words(look) != _words(self.last.get(uri)):
            self.last[uri] = look
            yield look

    def _active(self, uris: Sequence[str]) -> set[str]:
        """URIs of jobs that go on, from one listing for all of a place; a single job is polled instead."""
        places: dict[Hashable, list[JobReference]] = {}
        for uri in uris:
            with suppress(FtsdkError):  # the look at this job says what is wrong with it
                job = self._reference(uri)
                if isinstance(job.backend, SupportsActiveJobs):
                    places.setdefault((job.backend.name, job.backend.listing_scope), []).append(job)
        active: set[str] = set()
        for jobs in places.values():
            backend = jobs[0].backend
            if len(jobs) > 1 and isinstance(backend, SupportsActiveJobs):
                with suppress(BackendError):  # then each is polled
                    names = backend.active_jobs()
                    active.update(job.uri for job in jobs if job.name in names)
        return active

    def _reference(self, uri: str) -> JobReference:
        if uri not in self.attached:
            self.attached[uri] = JobReference.unchecked(uri)
        return self.attached[uri]

    def _look(self, uri: str, active: set[str]) -> WatchEvent:
        try:
            job = self._reference(uri)
            if self.notify:
                notifying.look(job, self.notify)
            if job.uri in active and not may_leave_spot(job):
                return WatchEvent(uri=job.uri, decision=Decision(action="wait"))
            decision, info = reconcile(job, fresh_s=self.fresh_s)
        except FtsdkError as problem:  # the other jobs are watched all the same
            if isinstance(problem, JobNotFoundError | AuthError):
                self.over.add(uri)
            return WatchEvent(uri=uri, problem=problem)
        self.not_before[uri] = decision.not_before if decision.action == "wait" else 0.0
        if decision.action in ("done", "give_up"):
            self.over.add(uri)
            del self.attached[uri]
        return WatchEvent(uri=job.uri, attempt=info.attempt, decision=decision)


def _words(look: WatchEvent | None) -> tuple[object, ...] | None:
    """What distinguishes one look's outcome from another's."""
    if look is None:
        return None
    action, why = (look.decision.action, look.decision.why) if look.decision else ("", "")
    return look.attempt, str(look.problem), action, why
