"""A job's records: its plan on this machine and in its durable folder, and the supervisors' records."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, TypedDict, cast

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import JobInfo, ObservedState
from ftsdk.backends.folders import PLAN_FILE, names
from ftsdk.backends.shared import SubmittedJob
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.backends.skypilot.shapes import SkyRequest
from ftsdk.contract import Reason
from ftsdk.errors import JobNotFoundError
from ftsdk.home import home_dir, jobs_dir
from ftsdk.plan import Plan
from ftsdk.runtime.storage.base import Store
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.storage import records
from ftsdk.storage.store import open_store

SILENCE_S: Final = 150.0
"""Seconds without a sign of life after which a supervisor counts as dead; it writes its clock every minute."""


SkyJob = SubmittedJob[Store]


class LaunchError(TypedDict):
    """Why an attempt failed before a supervisor could record it."""

    reason: str
    message: str


class LaunchRecord(TypedDict, total=False):
    """What is known of an attempt's launch."""

    request_id: str
    """Of SkyPilot's API server."""
    error: LaunchError
    unpriced: bool
    """Whether SkyPilot has no price for the machines."""


def request_key(attempt: int) -> str:
    """Key of the record of an attempt's launch: `request_id`, or `error`."""
    return f"{contract.ATTEMPTS_DIR}/a{attempt}/skypilot.json"


def create(plan: Plan) -> SkyJob:
    """Write the job's document and plan, here and in its durable folder. Repeating it changes only the plan."""
    job = SubmittedJob(plan, _store(plan))
    document, written = json.dumps(plan.document, indent=1).encode(), json.dumps(plan.to_json()).encode()
    records.check_owner(job.store, plan.backend)
    stores = (FolderStore(jobs_dir(home_dir(), plan.backend) / plan.name), job.store)
    remedy = "set the skypilot backend's option 'storage' to another folder"
    shared.write_files(plan, {contract.JOB_FILE: document, PLAN_FILE: written}, stores, remedy=remedy)
    return job


def find(name: str, options: SkyPilotOptions) -> SkyJob:
    """The job with a name, known here or found in the storage. Raises JobNotFoundError."""
    storage = options.storage
    here = FolderStore(jobs_dir(home_dir(), "skypilot") / name)
    for store in (here, open_store(f"{storage.rstrip('/')}/{name}", options.reached) if storage else None):
        plan_data = records.read_json(store, PLAN_FILE) if store else None
        if plan_data and plan_data["backend"] == "skypilot":
            plan = Plan.from_json(plan_data)
            return SubmittedJob(plan, _store(plan))
    raise JobNotFoundError(
        f"There is no job {name} of the skypilot backend on this machine{f' or in {storage}' if storage else ''}; "
        f"`ftsdk jobs` lists those there are, and its storage option names where others keep theirs."
    )


def each() -> Iterator[SkyJob]:
    """Jobs that were submitted from this machine, newest first."""
    for name in names("skypilot"):
        try:
            yield find(name, SkyPilotOptions())
        except JobNotFoundError:
            continue


def _store(plan: Plan) -> Store:
    return open_store(plan.request["folder"], plan.storage)


def request_of(job: SkyJob) -> SkyRequest:
    """The request of the newest attempt."""
    return cast("SkyRequest", job.plan.for_attempt(job.attempt).request)


def launch_record(job: SkyJob) -> LaunchRecord:
    """The record of the newest attempt's launch; empty if the submitting process was killed before the response."""
    record: LaunchRecord | None = records.read_json(job.store, request_key(job.attempt))
    return record or {}


def add_to_record(job: SkyJob, **fields: object) -> None:
    """Add fields to the record of the launch."""
    job.store.put(request_key(job.attempt), json.dumps({**launch_record(job), **fields}).encode())


def cancelled_at(job: SkyJob) -> float | None:
    """When the newest attempt was cancelled, in seconds since the epoch; None if it was not."""
    note = records.read_json(job.store, contract.cancel_key(job.attempt))
    return float(note["time"]) if note else None


def is_alive(job: SkyJob) -> bool:
    """Whether a supervisor of the newest attempt has written its clock within SILENCE_S."""
    clocks = (records.read_json(job.store, contract.clock_key(job.attempt, node)) for node in range(job.num_nodes))
    return any(clock and time.time() - clock["alive_at"] < SILENCE_S for clock in clocks)


def all_recorded(job: SkyJob) -> bool:
    """Whether every node of the newest attempt has an outcome record."""
    keys = (contract.outcome_key(job.attempt, node) for node in range(job.num_nodes))
    return all(records.read_json(job.store, key) for key in keys)


def running(job: SkyJob) -> JobInfo:
    """The newest attempt in state RUNNING. Raises JobNotFoundError if none was started."""
    native_name = contract.native_name(job.plan.name, job.attempt)
    return shared.running(job, {"folder": job.plan.request["folder"], "name": native_name})


def with_observed(info: JobInfo, observed: ObservedState) -> JobInfo:
    """The state that SkyPilot reports."""
    return replace(info, state=observed.state, reason=Reason.parse(observed.reason), message=observed.message)
