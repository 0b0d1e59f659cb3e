"""`ftsdk watch`: a small resident that starts preempted and lost attempts again, as their jobs' retry policies say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_job
from ftsdk.cli.output import json_option, say

if TYPE_CHECKING:
    from ftsdk.backends.base import JobInfo
    from ftsdk.jobs.job import Job
    from ftsdk.jobs.retrying import Decision

FRESH_S = 86_400.0
"""A job that nobody named and that failed longer ago has been given up by whoever submitted it."""


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_job)
@click.option("--once", is_flag=True, help="Look once at every job and return, e.g. from cron.")
@click.option(
    "--every-s", type=click.FloatRange(min=0.05), default=15.0, show_default=True, help="Seconds between two looks."
)
@json_option
def watch(jobs: tuple[str, ...], once: bool, every_s: float, as_json: bool) -> None:
    """Start again what is preempted or lost, as each job's `retry` says; one line per decision.

    Without JOB it watches all unfinished jobs that this machine submitted, and those to come, until it is stopped; what
    failed more than a day ago is left alone. Any number of watchers may run: an attempt is started once. It remembers
    nothing, so it may be stopped at any time.
    """
    rounds = _Rounds(as_json, fresh_s=None if jobs else FRESH_S)
    while True:
        uris = rounds.open(jobs)
        rounds.look(uris)
        if once or (jobs and not rounds.open(jobs)):
            click.get_current_context().exit(rounds.exit_code if len(rounds.lost) == len(jobs) else 0)
        time.sleep(every_s)


class _Rounds:
    """What one watching process has said, and which of the jobs it was asked for are over."""

    def __init__(self, as_json: bool, *, fresh_s: float | None) -> None:
        self.exit_code = 0
        """That of the last job that could not be looked at."""
        self.lost: set[str] = set()
        """Jobs that are not there."""
        self._as_json, self._fresh_s = as_json, fresh_s
        self._said: dict[str, str] = {}
        self._over: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._jobs: dict[str, Job] = {}

    def open(self, named: Sequence[str]) -> list[str]:
        """The jobs that are not over."""
        from ftsdk.jobs import journal

        return [job for job in named or journal.unfinished() if job not in self._over]

    def look(self, uris: Iterable[str]) -> None:
        """One look at each job whose time it is."""
        for uri in uris:
            if time.time() >= self._not_before.get(uri, 0.0):
                self._look(uri)

    def _look(self, uri: str) -> None:
        from ftsdk.errors import AuthError, FtsdkError, JobNotFoundError
        from ftsdk.jobs import watching
        from ftsdk.jobs.job import Job

        try:
            job = self._jobs.get(uri) or self._jobs.setdefault(uri, Job.attach(uri))
            decision, info = watching.carry_on(job, fresh_s=self._fresh_s)
        except FtsdkError as problem:  # one job's trouble is not the others'
            self._print(uri, "problem", str(problem), attempt=None)
            if isinstance(problem, JobNotFoundError | AuthError):
                self._over.add(uri)
                self.lost.add(uri)
                self.exit_code = problem.exit_code
            return
        self._not_before[uri] = decision.not_before if decision.action == "wait" else 0.0
        if decision.action in ("done", "give_up"):
            self._over.add(uri)
        if decision.why or decision.action != "wait":
            self._tell(job, decision, info)

    def _tell(self, job: Job, decision: Decision, info: JobInfo) -> None:
        self._print(job.uri, decision.action, decision.why, attempt=info.attempt)

    def _print(self, uri: str, action: str, why: str, *, attempt: int | None) -> None:
        """A line, unless it is the last one again."""
        if self._said.get(uri) == f"{attempt} {action} {why}":
            return
        self._said[uri] = f"{attempt} {action} {why}"
        if self._as_json:
            line = {"time": time.time(), "uri": uri, "attempt": attempt, "action": action, "why": why}
            click.echo(json.dumps(line))
        elif action == "problem":
            say(f"{uri}: {why}")
        else:
            click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {uri}: {action.replace('_', ' ')}: {why}")
