"""One look at a job through SkyPilot: its queue first, then the request that should have put the job there."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, Final

from ftsdk.backends.base import JobState, Verdict
from ftsdk.backends.skypilot import failures, jobs, states
from ftsdk.backends.skypilot.api import ApiServer
from ftsdk.backends.skypilot.jobs import SkyJob
from ftsdk.backends.skypilot.request import LAUNCHED, MANAGED, ON_CLUSTER
from ftsdk.backends.skypilot.states import Native
from ftsdk.contract import claim_key
from ftsdk.errors import BackendError, UnavailableError
from ftsdk.storage.records import has_lines, read_json

START_PATIENCE_S: Final = 300.0
"""A claimed attempt of which SkyPilot knows nothing is being sent in; after this long, whoever sent it has died."""
FIELDS: Final = ["job_id", "job_name", "status", "recovery_count", "failure_reason"]
LOOK_EVERY_S: Final = 10.0
LAST_LINES: Final = 20
IN_ITS_LOG: Final = "SkyPilot's own log may tell why."
UNDER_WAY: Final = ("PENDING", "RUNNING")


def native(server: ApiServer, job: SkyJob) -> Native | None:
    """The newest attempt in SkyPilot's queue; None if it is not there (yet, or any more)."""
    request = job.plan.for_attempt(job.attempt).request
    name = request["task"]["name"]
    if request["kind"] == MANAGED:
        answer = server.ask("/jobs/queue/v2", {"all_users": True, "name_match": name, "fields": FIELDS})
        rows = answer["jobs"] if isinstance(answer, dict) else answer
        read = states.managed
    else:
        rows, read = _cluster_queue(server, request["cluster"]), states.on_cluster
    own = [row for row in rows if row["job_name"] == name]
    return read(max(own, key=lambda row: int(row["job_id"]))) if own else None


def _cluster_queue(server: ApiServer, cluster: str) -> list[dict[str, Any]]:
    try:
        return list(server.ask("/queue", {"cluster_name": cluster, "all_users": True}) or ())  # null while it is made
    except UnavailableError as problem:
        if "cluster" in str(problem).lower():  # gone, or not up yet: the request tells which
            return []
        raise


def verdict(server: ApiServer, job: SkyJob) -> Verdict:
    """What SkyPilot says of the newest attempt."""
    said = jobs.said(job)
    if "error" in said:
        return Verdict(JobState.FAILED, said["error"]["reason"], said["error"]["message"])
    found = native(server, job)
    cancelled = jobs.cancelled_at(job) is not None
    if found:
        is_managed = job.plan.request["kind"] == MANAGED
        table = states.MANAGED_STATUSES if is_managed else states.CLUSTER_STATUSES
        seen = states.state_of(found, table, cancelled=cancelled)
        if seen.state is JobState.FAILED and found.status in states.UNEXPLAINED:
            seen = seen._replace(message=f"{seen.message} {_last_words(server, job, found) or IN_ITS_LOG}")
    elif cancelled:
        return Verdict(JobState.CANCELLED, "cancelled", "Cancelled before it began.")
    else:
        seen = _of_request(server, said.get("request_id", "")) or _gone(job)
    return _kept(server, job, seen) if seen.state is JobState.FAILED and seen.reason != "lost" else seen


def _kept(server: ApiServer, job: SkyJob, seen: Verdict) -> Verdict:
    """A failure that no record of the job tells of: it is written down, and the job's own cluster is put away, with
    SkyPilot's log on it."""
    request, options = job.plan.for_attempt(job.attempt).request, job.plan.options
    with suppress(BackendError):
        jobs.keep(job, error={"reason": seen.reason, "message": seen.message})
        if request["kind"] == LAUNCHED and not options["autostop_minutes"]:
            server.post("/down", {"cluster_name": request["cluster"]})
    return seen


def _last_words(server: ApiServer, job: SkyJob, found: Native) -> str:
    """Of the setup, or of a supervisor that did not start."""
    request = job.plan.for_attempt(job.attempt).request
    body = {"job_id": found.job_id, "follow": False, "tail": LAST_LINES}
    try:
        if request["kind"] == MANAGED:
            return failures.last_words(server.text("/jobs/logs", body))
        return failures.last_words(server.text("/logs", {**body, "cluster_name": request["cluster"]}))
    except BackendError:  # the cluster is gone
        return ""


def _of_request(server: ApiServer, request_id: str) -> Verdict | None:
    """Where the launch is; None if it went through or is forgotten."""
    status = server.status(request_id) if request_id else None
    if status in UNDER_WAY:
        return Verdict(JobState.PENDING, message="SkyPilot is getting machines.")
    if status == "CANCELLED":
        return Verdict(JobState.FAILED, "stopped", "The launch was cancelled from outside (sky api cancel).")
    if status == "FAILED":
        try:
            server.answer(request_id)
        except BackendError as problem:
            return Verdict(JobState.FAILED, failures.reason(problem), str(problem))
    return None


def _gone(job: SkyJob) -> Verdict:
    claimed = read_json(job.store, claim_key(job.attempt))
    if claimed and time.time() - float(claimed["time"]) < START_PATIENCE_S and not has_lines(job.store, job.attempt):
        return Verdict(JobState.PENDING, message="It is being handed to SkyPilot.")
    return Verdict(
        JobState.FAILED,
        "lost",
        "SkyPilot knows nothing of it any more and it left no result: its cluster was taken down, or another API "
        "server answers now; submit again to go on from the last checkpoint.",
    )


def usd_per_hour(server: ApiServer, job: SkyJob) -> float | None:
    """What the newest attempt's machines cost in an hour, all together, by SkyPilot's own cost report; 0 if it has no
    price for them, None if it does not tell yet."""
    request, request_id = job.plan.for_attempt(job.attempt).request, jobs.said(job).get("request_id")
    if request["kind"] == MANAGED:
        ids = server.answer(request_id)["job_id"] if request_id else []
        ends = tuple(f"-{job_id}" for job_id in ids)  # SkyPilot names a managed job's cluster NAME-ID, NAME cut short
        rows = [row for row in server.ask("/cost_report", {"days": 30}) if row["name"].endswith(ends)]
    else:
        rows = [row for row in server.ask("/cost_report", {"days": 30}) if row["name"] == request["cluster"]]
    last = max(rows, key=lambda row: row["launched_at"] or 0, default=None)
    if not last or not last.get("duration"):
        return None
    return round(float(last.get("total_cost") or 0) / float(last["duration"]) * 3600, 4)


class Looks:
    """The newest look at each attempt. Only the first one is waited for: a look takes SkyPilot seconds."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._seen: dict[tuple[str, int], tuple[float, Verdict]] = {}
        self._problems: dict[tuple[str, int], BackendError] = {}
        self._threads: dict[tuple[str, int], threading.Thread] = {}

    def at(self, job: SkyJob, attempt: int) -> Verdict:
        """What SkyPilot says. Raises BackendError if it did not answer."""
        key = job.plan.name, attempt
        if problem := self._problems.pop(key, None):
            self._seen.pop(key, None)
            raise problem
        if key not in self._seen:
            self.tell(job, attempt, verdict(self._server, job))
        looked_at, last = self._seen[key]
        if not last.state.terminal and time.monotonic() - looked_at > LOOK_EVERY_S:
            self._look_again(key, job, attempt)
        return last

    def tell(self, job: SkyJob, attempt: int, seen: Verdict) -> None:
        """Take something for seen."""
        self._seen[job.plan.name, attempt] = time.monotonic(), seen

    def _look_again(self, key: tuple[str, int], job: SkyJob, attempt: int) -> None:
        if key in self._threads and self._threads[key].is_alive():
            return

        def look() -> None:
            try:
                self.tell(job, attempt, verdict(self._server, job))
            except BackendError as problem:
                self._problems[key] = problem

        self._threads[key] = threading.Thread(target=look, daemon=True)
        self._threads[key].start()


def end(server: ApiServer, job: SkyJob) -> None:
    """Ask SkyPilot to end the newest attempt; nobody waits for it."""
    request = job.plan.for_attempt(job.attempt).request
    request_id = jobs.said(job).get("request_id", "")
    if request["kind"] != ON_CLUSTER and request_id and server.status(request_id) in UNDER_WAY:
        server.post("/api/cancel", {"request_ids": [request_id]})
    if request["kind"] == MANAGED:
        server.post("/jobs/cancel", {"name": request["task"]["name"]})
    elif request["kind"] == LAUNCHED:
        server.post("/down", {"cluster_name": request["cluster"]})
    elif found := native(server, job):
        server.post("/cancel", {"cluster_name": request["cluster"], "job_ids": [found.job_id]})
