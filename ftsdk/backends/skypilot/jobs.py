"""A job's records: its plan on this machine and beside its results, and what its durable folder tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import JobInfo, Verdict
from ftsdk.backends.folders import PLAN_FILE, names
from ftsdk.backends.shared import SubmittedJob
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.contract import Reason
from ftsdk.errors import JobNotFoundError
from ftsdk.home import home_dir, jobs_dir
from ftsdk.plan import Plan
from ftsdk.runtime.storage.base import Store
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.storage import records
from ftsdk.storage.store import open_store

SILENCE_S: Final = 150.0
"""A supervisor that lives tells the time every minute, by its own node's clock."""


SkyJob = SubmittedJob[Store]


def request_key(attempt: int) -> str:
    """Key of the record of what SkyPilot said to an attempt: `request_id`, or `error`."""
    return f"{contract.ATTEMPTS_DIR}/a{attempt}/skypilot.json"


def create(plan: Plan) -> SkyJob:
    """Write the job's document and plan, here and beside its results. Doing it again changes nothing but the plan."""
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
        found = records.read_json(store, PLAN_FILE) if store else None
        if found and found["backend"] == "skypilot":
            plan = Plan.from_json(found)
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


def said(job: SkyJob) -> dict[str, Any]:
    """What SkyPilot answered to the newest attempt's submit; empty if whoever submitted did not live to hear it."""
    return dict(records.read_json(job.store, request_key(job.attempt)) or {})


def keep(job: SkyJob, **told: Any) -> None:
    """Write something down beside it."""
    job.store.put(request_key(job.attempt), json.dumps({**said(job), **told}).encode())


def cancelled_at(job: SkyJob) -> float | None:
    """When somebody asked the newest attempt to stop, in seconds since the epoch."""
    note = records.read_json(job.store, contract.cancel_key(job.attempt))
    return float(note["time"]) if note else None


def is_alive(job: SkyJob) -> bool:
    """Whether a supervisor of the newest attempt has told the time a moment ago."""
    clocks = (records.read_json(job.store, contract.clock_key(job.attempt, node)) for node in range(job.num_nodes))
    return any(clock and time.time() - clock["alive_at"] < SILENCE_S for clock in clocks)


def all_said(job: SkyJob) -> bool:
    """Whether every node of the newest attempt has said how it ended."""
    keys = (contract.outcome_key(job.attempt, node) for node in range(job.num_nodes))
    return all(records.read_json(job.store, key) for key in keys)


def running(job: SkyJob) -> JobInfo:
    """The newest attempt in state RUNNING. Raises JobNotFoundError if none was started."""
    native_name = contract.native_name(job.plan.name, job.attempt)
    return shared.running(job, {"folder": job.plan.request["folder"], "name": native_name})


def with_verdict(info: JobInfo, verdict: Verdict) -> JobInfo:
    """What SkyPilot says."""
    return replace(info, state=verdict.state, reason=Reason.parse(verdict.reason), message=verdict.message)
