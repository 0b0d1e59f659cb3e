"""A watcher of a study starts its jobs and carries out their retry policies. Any number may watch the same one.

A watcher keeps nothing that matters between two looks. A job belongs to the watcher that puts its claim first, and its
first attempt is claimed once more in the job's own folder, so it starts once whoever is killed at whatever moment.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ftsdk.backends.base import JobState
from ftsdk.errors import CapacityError, JobNotFoundError, QuotaError, UnavailableError
from ftsdk.jobs.job import Job
from ftsdk.jobs.starting import read_secrets
from ftsdk.jobs.submit import submit
from ftsdk.jobs.watching import POLL_FIRST_S, POLL_MAX_S, POLL_SHARE, REFUSED_PAUSE_S, reconcile
from ftsdk.plan import Plan
from ftsdk.studies import document, trials
from ftsdk.studies.document import StudyRecord, TrialClaim, TrialDocument
from ftsdk.studies.jobs import job_of
from ftsdk.studies.pipelines.late import late_plan, push
from ftsdk.studies.pipelines.progress import PipelineProgress
from ftsdk.studies.pipelines.readiness import Outcome
from ftsdk.studies.room import why_no_room
from ftsdk.studies.search.searching import Searching
from ftsdk.studies.space import as_words

State = Literal["free", "waits", "active", "over"]
"""`free` may be started; `waits` has to wait for other steps; `over` is followed by nothing."""


def drive(record: StudyRecord, *, once: bool = False) -> Iterator[str]:
    """Look at a study until all its jobs have ended, starting them; yields a sentence for each change.

    With `once` it starts what may start now and returns. Raises what the submit of a job raises; the study goes on
    with the next watcher.
    """
    driver = _Driver(record)
    changed_at = time.monotonic()
    while True:
        news = driver.look()
        yield from news
        if driver.is_over or (once and not (news or driver.has_chosen)):
            return
        now = time.monotonic()
        changed_at = now if news else changed_at
        time.sleep(
            0 if news or driver.has_chosen else min(POLL_MAX_S, max(POLL_FIRST_S, POLL_SHARE * (now - changed_at)))
        )


def cancel(record: StudyRecord, why: str) -> None:
    """Start no further job, and make those that run save their state and stop."""
    record.stop(why)
    for number in record.claims():
        with contextlib.suppress(JobNotFoundError):
            job = job_of(record, number)
            if job.info().state not in (JobState.SUCCEEDED, JobState.CANCELLED):
                job.cancel()


@dataclass(slots=True)
class _Driver:
    record: StudyRecord
    is_over: bool = False
    ended: dict[int, tuple[TrialClaim, Outcome]] = field(default_factory=dict)
    """Jobs after which nothing follows -> the claim that they were started by, and what they have come to."""
    progress: PipelineProgress = field(init=False)
    searching: Searching | None = field(init=False)
    has_chosen: bool = False
    """Whether the last look has chosen a further job of a search."""
    shown: dict[int, str] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)
    not_before: float = 0.0
    """On time.monotonic's clock; nothing is started before, after a platform had no room."""

    def __post_init__(self) -> None:
        self.progress = PipelineProgress(self.record)
        self.searching = Searching(self.record) if "search" in self.record.document else None

    def look(self) -> list[str]:
        """Look at every job that is not over, and start the next one if there is room; returns what is new."""
        self.news = []
        note, claims = self.record.stop_note(), self.record.claims()
        every = self.searching.jobs() if self.searching else self.record.trials()
        states = [self._entered(planned, claims.get(planned["number"])) for planned in every]
        active = states.count("active")
        free = next((planned for planned, state in zip(every, states, strict=True) if state == "free"), None)
        goes_on = bool(active)
        if note is None and active:
            self._stop_at_limit()
        if self.searching:
            free = self._search(every, states, has_room=note is None and active < self.record.document["parallel"])
            goes_on = goes_on or self.has_chosen
        if note is None and free and active < self.record.document["parallel"]:
            goes_on = self._start(free, claims.get(free["number"])) or goes_on
        self.is_over = not goes_on
        return self.news

    def _search(self, every: list[TrialDocument], states: list[State], *, has_room: bool) -> TrialDocument | None:
        """Enter what the jobs of a search have come to, prune, and choose one if none is free; returns the free one."""
        assert self.searching is not None
        numbered = [(planned["number"], state) for planned, state in zip(every, states, strict=True)]
        ended = {number: self.ended[number][1] == "succeeded" for number, state in numbered if state == "over"}
        running = [number for number, state in numbered if state == "active"]
        for number in self.searching.enter(ended, running):
            self._prune(every[number - 1])
        free = next((planned for planned, state in zip(every, states, strict=True) if state == "free"), None)
        self.has_chosen = has_room and free is None and self.searching.choose()
        return free

    def _prune(self, planned: TrialDocument) -> None:
        number = planned["number"]
        job = job_of(self.record, number)
        step = job.status().latest.get("step", 0)
        if self.record.prune(number, step):
            self._tell(planned, f"pruned at step {step}")
            job.cancel()

    def _entered(self, planned: TrialDocument, claim: TrialClaim | None) -> State:
        """The state of a job; for a step of a pipeline its outcome is entered, on which those after it depend."""
        state: State = self._state(planned, claim)
        step = planned.get("step")
        if step is None:
            return state
        outcome: Outcome = self.ended[planned["number"]][1] if state == "over" else "open"
        if state == "free":
            ready = self.progress.readiness(step)
            if ready.state == "skipped":
                self._tell(planned, f"skipped: {ready.why}")
                outcome = "skipped"
            state = "free" if ready.state == "ready" else "over" if ready.state == "skipped" else "waits"
        self.progress.outcomes[step["name"]] = outcome
        return state

    def _state(self, planned: TrialDocument, claim: TrialClaim | None) -> Literal["free", "active", "over"]:
        number, step = planned["number"], planned.get("step")
        if claim is None:
            return "free"
        if number in self.ended and self.ended[number][0] == claim:
            return "over"
        if step and step["push"]:
            return self._state_of_push(number, claim)
        try:
            decision, info = reconcile(job_of(self.record, number))
        except JobNotFoundError:
            return self._state_before_start(claim)
        except UnavailableError as problem:
            self._tell(planned, str(problem))
            return "active"
        self._tell(planned, " ".join(filter(None, (str(info.state), info.reason, decision.why))))
        if decision.action not in ("done", "give_up"):
            return "active"
        self.ended[number] = claim, "succeeded" if info.state is JobState.SUCCEEDED else "failed"
        return "over"

    def _state_of_push(self, number: int, claim: TrialClaim) -> Literal["free", "active", "over"]:
        if (end := self.record.end(number)) is None:
            return self._state_before_start(claim)
        self.ended[number] = claim, "succeeded" if end["state"] == "SUCCEEDED" else "failed"
        return "over"

    def _state_before_start(self, claim: TrialClaim) -> Literal["free", "active"]:
        return "free" if document.is_abandoned(claim, now=time.time()) else "active"

    def _start(self, planned: TrialDocument, before: TrialClaim | None) -> bool:
        """Start a job unless another watcher was first; False if the study's limits exclude it."""
        if time.monotonic() < self.not_before:
            return True
        if why := self._over_limits(planned):
            self._tell(planned, f"not started: {why}")
            return False
        if (plan := self.record.plan(planned["number"])) and (why := why_no_room(plan)):
            self._tell(planned, f"waits: {why}")
            return True
        if self.record.claim(planned["number"], turn=before["turn"] + 1 if before else 1):
            try:
                self._submit(planned)
            except (CapacityError, QuotaError, UnavailableError) as problem:
                self._tell(planned, f"waits: {problem}")
                self.not_before = time.monotonic() + REFUSED_PAUSE_S
        return True

    def _submit(self, planned: TrialDocument) -> None:
        number, step = planned["number"], planned.get("step")
        try:
            if step and step["push"]:
                self._tell(planned, push(self.record, number, step, self.progress.values(step)))
                return
            job, plan = self._job(planned)
            submit(plan, job.backend, secrets=read_secrets(plan), on_attach=lambda info: None)
        except BaseException:  # Ctrl-C too: whoever comes next attaches to the job if it was started
            self.record.release(number)
            raise
        self._tell(planned, f"submitted: {job.uri}")
        if self.record.stop_note():
            job.cancel()

    def _job(self, planned: TrialDocument) -> tuple[Job, Plan]:
        """A job and its plan, which is made here for a step of a pipeline, once what it takes exists.

        So is that of a job of a search whose watcher was killed after it had chosen the job.
        """
        number, step = planned["number"], planned.get("step")
        if step and self.record.plan(number) is None:
            self.record.add_plan(number, late_plan(self.record, step, self.progress.values(step)))
        elif self.searching and self.record.plan(number) is None:
            self.record.add_plan(number, self.searching.plan(planned["changes"]))
        plan = self.record.plan(number)
        assert plan is not None
        return job_of(self.record, number), plan

    def _over_limits(self, planned: TrialDocument) -> str:
        of_study = self.record.document
        if of_study["max_hours"] is None and of_study["max_cost_usd"] is None:
            return ""
        return trials.over_limits(of_study, list(trials.trials(self.record)), planned)

    def _stop_at_limit(self) -> None:
        of_study = self.record.document
        if of_study["max_hours"] is None and of_study["max_cost_usd"] is None:
            return
        if why := trials.limit_reached(of_study, list(trials.trials(self.record))):
            cancel(self.record, why)
            self.news.append(f"{self.record.uri}: stopped, {why}")

    def _tell(self, planned: TrialDocument, sentence: str) -> None:
        number = planned["number"]
        if self.shown.get(number) != sentence:
            self.shown[number] = sentence
            search = self.record.document.get("search")
            total = search["trials"] if search else len(self.record.document["trials"])
            step = planned.get("step")
            what = step["name"] if step else as_words(planned["changes"])
            self.news.append(f"{number}/{total} {what}: {sentence}")
