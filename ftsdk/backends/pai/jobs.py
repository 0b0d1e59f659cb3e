"""DLC jobs of ours: found by their names, described, created once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.backends.pai import addresses, states
from ftsdk.backends.pai.request import durable_of
from ftsdk.backends.pai.service import RETRY, RefusedError, Services, says_not_found
from ftsdk.contract import Reason
from ftsdk.contract.documents import Outcome
from ftsdk.errors import JobNotFoundError, UnavailableError


class Native(NamedTuple):
    """One attempt as a DLC job."""

    attempt: int
    said: Mapping[str, Any]
    """GetJob's answer, or a row of ListJobs."""

    @property
    def id(self) -> str:
        """JobId."""
        return str(self.said["JobId"])

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.said.get("Status") in states.ENDS

    @property
    def durable(self) -> str:
        """Address of the job's folder."""
        return durable_of(self.said)

    @property
    def num_nodes(self) -> int:
        """Machines."""
        return sum(int(spec.get("PodCount") or 1) for spec in self.said.get("JobSpecs") or ()) or 1

    @property
    def pods(self) -> list[Mapping[str, Any]]:
        """Its pods of now, the first node's first."""
        return sorted(self.said.get("Pods") or (), key=_node)


def _node(pod: Mapping[str, Any]) -> tuple[bool, int]:
    """`JOB-master-0` is the first node, `JOB-worker-0` the second."""
    kind, _, number = str(pod["PodId"]).rpartition("-")
    return not kind.endswith("-master"), int(number) if number.isdecimal() else 0


def get(services: Services, native_id: str) -> Native | None:
    """One job by its id, or None if it is gone."""
    try:
        said = services.call("get_job", native_id)
    except RefusedError as problem:
        if says_not_found(problem):
            return None
        raise
    return Native(contract.split_native_name(said["DisplayName"])[1], said)


def attempts(services: Services, name: str) -> list[Native]:
    """A job's attempts as the listing has them, oldest first. Of doubles, the one that was created first counts."""
    found: dict[int, Native] = {}
    for row in services.jobs(DisplayName=f"{name}-a"):  # a part of the name, whatever its case
        if contract.NATIVE_NAME.fullmatch(row["DisplayName"]):
            job, number = contract.split_native_name(row["DisplayName"])
            if job == name and (number not in found or _age(row) < _age(found[number].said)):
                found[number] = Native(number, row)
    return [found[number] for number in sorted(found)]


def newest(services: Services, name: str) -> Native:
    """The newest attempt. Raises JobNotFoundError if there is none."""
    rows = attempts(services, name)
    native = get(services, rows[-1].id) if rows else None
    if native is None:
        raise JobNotFoundError(
            f"There is no job pai://{services.region}/{name} in workspace {services.workspace_id}; "
            f"`ftsdk jobs -b pai` lists those there are."
        )
    return native


def each(services: Services) -> Iterator[JobInfo]:
    """The newest attempt of every job of ours, newest first, from the listing alone."""
    seen = set()
    for row in services.jobs(DisplayName="-a"):
        if contract.NATIVE_NAME.fullmatch(row["DisplayName"]):
            name, number = contract.split_native_name(row["DisplayName"])
            if name not in seen:
                seen.add(name)
                yield info(services, name, Native(number, row), None, cancelled=False)


# --- created once ------------------------------------------------------------------------------------------
def named(services: Services, native_name: str) -> list[Native]:
    """All jobs of exactly this name, oldest first: one, unless something went wrong."""
    rows = [row for row in services.jobs(DisplayName=native_name) if row["DisplayName"] == native_name]
    number = contract.split_native_name(native_name)[1]
    return [Native(number, row) for row in sorted(rows, key=_age)]


def create(services: Services, request: Mapping[str, Any]) -> str:
    """Create a job and return its id. DLC has no client token, so before a repeat it is looked up by its name.

    A double that came to be all the same (a create that was slower than its look-up) is stopped; the oldest counts.
    """
    made = _create(services, request)
    there = named(services, request["DisplayName"])
    for double in there[1:]:
        stop(services, double)
    return there[0].id if there else made


def _create(services: Services, request: Mapping[str, Any]) -> str:
    for pause_s in RETRY.pauses():
        try:
            return str(services.once("create_job", **request)["JobId"])
        except UnavailableError:
            time.sleep(pause_s)
            if there := named(services, request["DisplayName"]):
                return there[0].id
    return str(services.once("create_job", **request)["JobId"])


def stop(services: Services, native: Native) -> None:
    """Ask DLC to stop a job. One that has ended, or whose machines are being prepared, cannot be stopped and stays.

    A job that is still being created can be stopped seconds later, before it waits for machines for hours.
    """
    for pause_s in (*RETRY.pauses(), 0.0):
        try:
            services.call("stop_job", native.id)
            return
        except RefusedError as problem:
            if problem.code not in ("BadRequest", "InvalidParameter"):
                raise
        there = get(services, native.id)
        if there is None or there.said.get("Status") not in ("Creating", "Queuing"):  # it may have moved on meanwhile
            return
        time.sleep(pause_s)


# --- what it says ------------------------------------------------------------------------------------------
def info(services: Services, name: str, native: Native, outcome: Outcome | None, *, cancelled: bool) -> JobInfo:
    """What an answer says in our words."""
    said = native.said
    verdict = states.state_of(said, outcome, cancelled=cancelled)
    times = (said.get(f"Gmt{word}Time") for word in ("Finish", "Successed", "Failed", "Stopped"))
    return JobInfo(
        name=name,
        state=verdict.state,
        reason=Reason.parse(verdict.reason),
        message=verdict.message,
        attempt=native.attempt,
        created_at=_seconds(said.get("GmtCreateTime")),
        ended_at=_seconds(next(filter(None, times), None)) if verdict.state.terminal else None,
        exit_code=verdict.exit_code,
        native={
            "id": native.id,
            "name": said["DisplayName"],
            "status": said.get("Status", ""),
            "reason": said.get("ReasonCode", ""),
            "console": addresses.console(services.region, services.workspace_id, native.id),
        },
    )


def _age(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("GmtCreateTime", "")), str(row["JobId"])


def _seconds(time: str | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if time else None
