"""ftsdk's DLC jobs: listed by name, described, created once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.backends.pai import addresses, states
from ftsdk.backends.pai.request import durable_of
from ftsdk.backends.pai.service import RETRY, AlibabaRefusedError, AlibabaServices, says_not_found
from ftsdk.backends.pai.shapes import CreateJob, DlcJob, Pod
from ftsdk.contract import Reason
from ftsdk.contract.documents import Outcome
from ftsdk.errors import JobNotFoundError, UnavailableError

LISTED: Final = ("Running", "Queuing")
"""A listing takes one status; jobs pass through the others in minutes."""


class DlcAttempt(NamedTuple):
    """One attempt as a DLC job."""

    attempt: int
    response: DlcJob
    """Response of GetJob, or a row of ListJobs."""

    @property
    def id(self) -> str:
        """JobId."""
        return str(self.response["JobId"])

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.response.get("Status") in states.ENDS

    @property
    def durable(self) -> str:
        """Address of the job's folder."""
        return durable_of(self.response)

    @property
    def num_nodes(self) -> int:
        """Machines."""
        return sum(int(spec.get("PodCount") or 1) for spec in self.response.get("JobSpecs") or ()) or 1

    @property
    def pods(self) -> list[Pod]:
        """Its current pods, in the order of the nodes."""
        return sorted(self.response.get("Pods") or (), key=_node)


def _node(pod: Pod) -> tuple[bool, int]:
    """`JOB-master-0` is the first node, `JOB-worker-0` the second."""
    kind, _, number = str(pod["PodId"]).rpartition("-")
    return not kind.endswith("-master"), int(number) if number.isdecimal() else 0


def get(services: AlibabaServices, native_id: str) -> DlcAttempt | None:
    """One job by its id, or None if it was deleted."""
    try:
        response: DlcJob = services.call("get_job", native_id)
    except AlibabaRefusedError as problem:
        if says_not_found(problem):
            return None
        raise
    return DlcAttempt(contract.split_native_name(response["DisplayName"])[1], response)


def attempts(services: AlibabaServices, name: str) -> list[DlcAttempt]:
    """A job's attempts from the listing, oldest first. Of duplicates, the one created first counts."""
    newest_rows: dict[int, DlcAttempt] = {}
    for row in services.jobs(DisplayName=f"{name}-a"):  # matches any part of the name, ignoring case
        if contract.NATIVE_NAME.fullmatch(row["DisplayName"]):
            job, number = contract.split_native_name(row["DisplayName"])
            if job == name and (number not in newest_rows or _age(row) < _age(newest_rows[number].response)):
                newest_rows[number] = DlcAttempt(number, row)
    return [newest_rows[number] for number in sorted(newest_rows)]


def newest(services: AlibabaServices, name: str) -> DlcAttempt:
    """The newest attempt. Raises JobNotFoundError if there is none."""
    rows = attempts(services, name)
    native = get(services, rows[-1].id) if rows else None
    if native is None:
        raise JobNotFoundError(
            f"There is no job pai://{services.region}/{name} in workspace {services.workspace_id}; "
            f"`ftsdk jobs -b pai` lists those there are."
        )
    return native


def each(services: AlibabaServices) -> Iterator[JobInfo]:
    """The newest attempt of every ftsdk job, newest first, from the listing alone."""
    seen = set()
    for row in services.jobs(DisplayName="-a"):
        if contract.NATIVE_NAME.fullmatch(row["DisplayName"]):
            name, number = contract.split_native_name(row["DisplayName"])
            if name not in seen:
                seen.add(name)
                yield info(services, name, DlcAttempt(number, row), None, cancelled=False)


def active(services: AlibabaServices) -> frozenset[str]:
    """Names of the ftsdk jobs with an attempt that runs or is queued, a hundred in a request."""
    names = [row["DisplayName"] for status in LISTED for row in services.jobs(DisplayName="-a", Status=status)]
    return frozenset(contract.split_native_name(name)[0] for name in names if contract.NATIVE_NAME.fullmatch(name))


# --- create and stop ------------------------------------------------------------------------------------------
def named(services: AlibabaServices, native_name: str) -> list[DlcAttempt]:
    """All jobs of exactly this name, oldest first: more than one only after a duplicate create."""
    rows = [row for row in services.jobs(DisplayName=native_name) if row["DisplayName"] == native_name]
    number = contract.split_native_name(native_name)[1]
    return [DlcAttempt(number, row) for row in sorted(rows, key=_age)]


def create(services: AlibabaServices, request: CreateJob) -> str:
    """Create a job and return its id. DLC has no client token, so before a repeat it is looked up by its name.

    A duplicate (from a create that took effect after the look-up) is stopped; the oldest counts.
    """
    job_id = _create(services, request)
    existing = named(services, request["DisplayName"])
    for duplicate in existing[1:]:
        stop(services, duplicate)
    return existing[0].id if existing else job_id


def _create(services: AlibabaServices, request: CreateJob) -> str:
    for pause_s in RETRY.pauses():
        try:
            return str(services.once("create_job", **request)["JobId"])
        except UnavailableError:
            time.sleep(pause_s)
            if existing := named(services, request["DisplayName"]):
                return existing[0].id
    return str(services.once("create_job", **request)["JobId"])


def stop(services: AlibabaServices, native: DlcAttempt) -> None:
    """Ask DLC to stop a job. One that has ended, or whose machines are being prepared, cannot be stopped and stays.

    A job that is still being created can be stopped seconds later, before it waits for machines for hours.
    """
    for pause_s in (*RETRY.pauses(), 0.0):
        try:
            services.call("stop_job", native.id)
            return
        except AlibabaRefusedError as problem:
            if problem.code not in ("BadRequest", "InvalidParameter"):
                raise
        current = get(services, native.id)
        if current is None or current.response.get("Status") not in ("Creating", "Queuing"):
            return
        time.sleep(pause_s)


# --- job info ------------------------------------------------------------------------------------------
def info(
    services: AlibabaServices, name: str, native: DlcAttempt, outcome: Outcome | None, *, cancelled: bool
) -> JobInfo:
    """Translate a response to a JobInfo."""
    response = native.response
    observed = states.state_of(response, outcome, cancelled=cancelled)
    times = (
        response.get("GmtFinishTime"),
        response.get("GmtSuccessedTime"),
        response.get("GmtFailedTime"),
        response.get("GmtStoppedTime"),
    )
    return JobInfo(
        name=name,
        state=observed.state,
        reason=Reason.parse(observed.reason),
        message=observed.message,
        attempt=native.attempt,
        created_at=_seconds(response.get("GmtCreateTime")),
        ended_at=_seconds(next(filter(None, times), None)) if observed.state.terminal else None,
        exit_code=observed.exit_code,
        native={
            "id": native.id,
            "name": response["DisplayName"],
            "status": response.get("Status", ""),
            "reason": response.get("ReasonCode", ""),
            "console": addresses.console(services.region, services.workspace_id, native.id),
        },
    )


def _age(row: DlcJob) -> tuple[str, str]:
    return str(row.get("GmtCreateTime", "")), str(row["JobId"])


def _seconds(time: str | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if time else None
