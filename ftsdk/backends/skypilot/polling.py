"""Query SkyPilot for a job: its queue first, then the launch request."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Final

from ftsdk.backends.base import JobState, ObservedState
from ftsdk.backends.skypilot import failures, jobs, states
from ftsdk.backends.skypilot.api import ApiServer
from ftsdk.backends.skypilot.jobs import SkyJob
from ftsdk.backends.skypilot.request import LAUNCHED, MANAGED, ON_CLUSTER
from ftsdk.backends.skypilot.shapes import CostRecord, QueueRecord
from ftsdk.backends.skypilot.states import QueueRow
from ftsdk.contract import claim_key
from ftsdk.errors import BackendError, UnavailableError
from ftsdk.storage.records import has_lines, read_json

START_TIMEOUT_S: Final = 300.0
"""Seconds within which a claimed attempt that SkyPilot does not know counts as being submitted."""
FIELDS: Final = ["job_id", "job_name", "status", "recovery_count", "failure_reason"]
QUERY_INTERVAL_S: Final = 10.0
LAST_LINES: Final = 20
IN_ITS_LOG: Final = "SkyPilot's own log may tell why."
UNDER_WAY: Final = ("PENDING", "RUNNING")


def queue_row(server: ApiServer, job: SkyJob) -> QueueRow | None:
    """The newest attempt in SkyPilot's queue; None if it is not there (yet or any longer)."""
    request = jobs.request_of(job)
    name = request["task"]["name"]
    if request["kind"] == MANAGED:
        answer = server.ask("/jobs/queue/v2", {"all_users": True, "name_match": name, "fields": FIELDS})
        rows = answer["jobs"] if isinstance(answer, dict) else answer
        read = states.managed
    else:
        rows, read = _cluster_queue(server, request["cluster"]), states.on_cluster
    own = [row for row in rows if row["job_name"] == name]
    return read(max(own, key=lambda row: int(row["job_id"]))) if own else None


def _cluster_queue(server: ApiServer, cluster: str) -> list[QueueRecord]:
    try:
        return list(
            server.ask("/queue", {"cluster_name": cluster, "all_users": True}) or ()
        )  # null while the cluster is being created
    except UnavailableError as problem:
        if "cluster" in str(problem).lower():  # gone, or not up yet; the launch request tells which
            return []
        raise


def observe(server: ApiServer, job: SkyJob) -> ObservedState:
    """The newest attempt's state as SkyPilot reports it."""
    record = jobs.launch_record(job)
    if "error" in record:
        return ObservedState(JobState.FAILED, record["error"]["reason"], record["error"]["message"])
    row = queue_row(server, job)
    cancelled = jobs.cancelled_at(job) is not None
    if row:
        is_managed = jobs.request_of(job)["kind"] == MANAGED
        table = states.MANAGED_STATUSES if is_managed else states.CLUSTER_STATUSES
        seen = states.state_of(row, table, cancelled=cancelled)
        if seen.state is JobState.FAILED and row.status in states.UNEXPLAINED:
            seen = seen._replace(message=f"{seen.message} {_last_lines(server, job, row) or IN_ITS_LOG}")
    elif cancelled:
        return ObservedState(JobState.CANCELLED, "cancelled", "Cancelled before it began.")
    else:
        seen = _of_request(server, record.get("request_id", "")) or _gone(job)
    return _kept(server, job, seen) if seen.state is JobState.FAILED and seen.reason != "lost" else seen


def _kept(server: ApiServer, job: SkyJob, seen: ObservedState) -> ObservedState:
    """Record a failure without an outcome record, and take the job's own cluster down; SkyPilot's log is lost with
    it."""
    request, options = jobs.request_of(job), job.plan.options
    with suppress(BackendError):
        jobs.add_to_record(job, error={"reason": seen.reason, "message": seen.message})
        if request["kind"] == LAUNCHED and not options["autostop_minutes"]:
            server.post("/down", {"cluster_name": request["cluster"]})
    return seen


def _last_lines(server: ApiServer, job: SkyJob, row: QueueRow) -> str:
    """The end of SkyPilot's log: of the setup, or of a supervisor that did not start."""
    request = jobs.request_of(job)
    body = {"job_id": row.job_id, "follow": False, "tail": LAST_LINES}
    try:
        if request["kind"] == MANAGED:
            return failures.last_lines(server.text("/jobs/logs", body))
        return failures.last_lines(server.text("/logs", {**body, "cluster_name": request["cluster"]}))
    except BackendError:  # the cluster is gone
        return ""


def _of_request(server: ApiServer, request_id: str) -> ObservedState | None:
    """State of the launch request; None if it succeeded or the server no longer has it."""
    status = server.status(request_id) if request_id else None
    if status in UNDER_WAY:
        return ObservedState(JobState.PENDING, message="SkyPilot is getting machines.")
    if status == "CANCELLED":
        return ObservedState(JobState.FAILED, "stopped", "The launch was cancelled from outside (sky api cancel).")
    if status == "FAILED":
        try:
            server.result(request_id)
        except BackendError as problem:
            return ObservedState(JobState.FAILED, failures.reason(problem), str(problem))
    return None


def _gone(job: SkyJob) -> ObservedState:
    claimed = read_json(job.store, claim_key(job.attempt))
    if claimed and time.time() - float(claimed["time"]) < START_TIMEOUT_S and not has_lines(job.store, job.attempt):
        return ObservedState(JobState.PENDING, message="It is being submitted to SkyPilot.")
    return ObservedState(
        JobState.FAILED,
        "lost",
        "SkyPilot no longer knows the job and it left no result: its cluster was taken down, or another API "
        "server is in use now; submit again to continue from the last checkpoint.",
    )


def usd_per_hour(server: ApiServer, job: SkyJob) -> float | None:
    """What the newest attempt's machines cost in an hour, all together, by SkyPilot's own cost report; 0 if it has no
    price for them, None if it is not known yet."""
    request, request_id = jobs.request_of(job), jobs.launch_record(job).get("request_id")
    report: list[CostRecord] = server.ask("/cost_report", {"days": 30})
    if request["kind"] == MANAGED:
        ids = server.result(request_id)["job_id"] if request_id else []
        ends = tuple(f"-{job_id}" for job_id in ids)  # SkyPilot names a managed job's cluster NAME-ID, NAME cut short
        rows = [row for row in report if row["name"].endswith(ends)]
    else:
        rows = [row for row in report if row["name"] == request["cluster"]]
    last = max(rows, key=lambda row: row["launched_at"] or 0, default=None)
    duration_s = last.get("duration") if last else None
    if not last or not duration_s:
        return None
    return round(float(last.get("total_cost") or 0) / float(duration_s) * 3600, 4)


class StatusCache:
    """The last known state of each attempt. Only the first query blocks, because one takes seconds."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._seen: dict[tuple[str, int], tuple[float, ObservedState]] = {}
        self._problems: dict[tuple[str, int], BackendError] = {}
        self._threads: dict[tuple[str, int], threading.Thread] = {}

    def get(self, job: SkyJob, attempt: int) -> ObservedState:
        """The attempt's state. Raises BackendError if SkyPilot did not answer."""
        key = job.plan.name, attempt
        if problem := self._problems.pop(key, None):
            self._seen.pop(key, None)
            raise problem
        if key not in self._seen:
            self.put(job, attempt, observe(self._server, job))
        queried_at, last = self._seen[key]
        if not last.state.terminal and time.monotonic() - queried_at > QUERY_INTERVAL_S:
            self._refresh(key, job, attempt)
        return last

    def put(self, job: SkyJob, attempt: int, seen: ObservedState) -> None:
        """Store a state that is known without a query."""
        self._seen[job.plan.name, attempt] = time.monotonic(), seen

    def _refresh(self, key: tuple[str, int], job: SkyJob, attempt: int) -> None:
        if key in self._threads and self._threads[key].is_alive():
            return

        def query() -> None:
            try:
                self.put(job, attempt, observe(self._server, job))
            except BackendError as problem:
                self._problems[key] = problem

        self._threads[key] = threading.Thread(target=query, daemon=True)
        self._threads[key].start()


def end(server: ApiServer, job: SkyJob) -> None:
    """Request SkyPilot to end the newest attempt, without waiting for it."""
    request = jobs.request_of(job)
    request_id = jobs.launch_record(job).get("request_id", "")
    if request["kind"] != ON_CLUSTER and request_id and server.status(request_id) in UNDER_WAY:
        server.post("/api/cancel", {"request_ids": [request_id]})
    if request["kind"] == MANAGED:
        server.post("/jobs/cancel", {"name": request["task"]["name"]})
    elif request["kind"] == LAUNCHED:
        server.post("/down", {"cluster_name": request["cluster"]})
    elif row := queue_row(server, job):
        server.post("/cancel", {"cluster_name": request["cluster"], "job_ids": [row.job_id]})
