"""Jobs whose durable folder lies on this machine: what the local and the docker backend share.

`HOME/jobs/BACKEND/NAME/plan.json` is the plan of the newest attempt; it tells where the durable folder is (that same
folder unless the spec names an `output`).
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ftsdk import contract
from ftsdk.backends.base import Capabilities, JobInfo, JobState, require
from ftsdk.contract.documents import Outcome
from ftsdk.errors import BackendError, JobNotFoundError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.home import home_dir, jobs_dir
from ftsdk.plan import Plan
from ftsdk.sizing.price.market import Market, own_machine
from ftsdk.spec import JobSpec
from ftsdk.storage import records
from ftsdk.storage.store import FolderStore

PLAN_FILE = "plan.json"
STATES: Mapping[str, JobState] = {
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "INTERRUPTED": JobState.FAILED,  # saved but not finished; a new attempt goes on from there
}


@dataclass(frozen=True, slots=True)
class FolderJob:
    """A job and its durable folder."""

    plan: Plan
    store: FolderStore

    @property
    def attempt(self) -> int:
        """The newest claimed attempt."""
        return records.last_attempt(self.store)


def durable_folder(backend: str, name: str, spec: JobSpec, facts: Facts) -> Path:
    """Where a job keeps its results: below `output` (read against the spec's folder), else below ftsdk's home. Pure."""
    return Path(facts.folder, spec.output, name) if spec.output else jobs_dir(facts.home, backend) / name


def require_accelerator(spec: JobSpec, facts: Facts) -> None:
    """Refuse a spec that names an accelerator on a machine without one. Raises UnsupportedError."""
    if spec.resources.accelerator and not facts.machine.accelerators:
        raise UnsupportedError(
            f"resources.accelerator {spec.resources.accelerator}: this machine has no NVIDIA GPU; leave it out to "
            f"train on the CPU, or choose another backend (`ftsdk backends`)."
        )


def market_here(name: str, capabilities: Capabilities, spec: JobSpec, facts: Facts) -> Market:
    """This machine's accelerators. Raises UnsupportedError for what the backend cannot do."""
    require(name, capabilities, spec)
    return own_machine(facts.machine.accelerators)


def create(plan: Plan) -> FolderJob:
    """Make the folders of a job and write its document and plan, unless the attempt is somebody's already."""
    job = FolderJob(plan, FolderStore(plan.request["folder"]))
    if job.store.path(contract.claim_key(plan.attempt)).exists():
        return job
    records.check_owner(job.store, plan.backend)
    try:
        job.store.put(contract.JOB_FILE, json.dumps(plan.document, indent=1).encode())
        control = FolderStore(jobs_dir(home_dir(), plan.backend) / plan.name)
        control.put(PLAN_FILE, json.dumps(plan.to_json()).encode())
    except OSError as problem:
        raise BackendError(
            f"The job's folder {plan.request['folder']} cannot be written ({problem.strerror}): "
            f"free some space or set `output` to another folder."
        ) from problem
    return job


def claim(job: FolderJob, attempt: int) -> bool:
    """Whether this call may start the attempt; only one caller ever gets True."""
    return job.store.put_if_absent(contract.claim_key(attempt), job.plan.for_attempt(attempt).claim())


def release(job: FolderJob, attempt: int) -> None:
    """Take a claim back after a start that failed."""
    job.store.path(contract.claim_key(attempt)).unlink(missing_ok=True)


def find(backend: str, name: str) -> FolderJob:
    """The job of this backend with a name. Raises JobNotFoundError."""
    control = jobs_dir(home_dir(), backend) / name
    try:
        plan = Plan.from_json(json.loads((control / PLAN_FILE).read_bytes()))
    except (OSError, ValueError):
        plan = None
    if plan is None or plan.backend != backend:
        raise JobNotFoundError(
            f"There is no job {backend}://{name} on this machine; `ftsdk jobs` lists those there are."
        )
    return FolderJob(plan, FolderStore(plan.request["folder"]))


def each(backend: str) -> Iterator[FolderJob]:
    """All jobs of a backend, newest first."""
    for name in names(backend):
        try:
            yield find(backend, name)
        except JobNotFoundError:
            continue


def names(backend: str) -> list[str]:
    """Names of a backend's jobs that this machine submitted, newest first."""
    plans = jobs_dir(home_dir(), backend).glob(f"*/{PLAN_FILE}")
    return [path.parent.name for path in sorted(plans, key=_mtime, reverse=True)]


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def outcome(job: FolderJob) -> Outcome | None:
    """How the newest attempt ended, or None while it runs."""
    return records.outcome(job.store, job.attempt, job.plan.document["num_nodes"])


def info(job: FolderJob, *, died: Callable[[], tuple[str, str] | None]) -> JobInfo:
    """State of the newest attempt. `died` gives (reason, message) if it is gone without an outcome, else None."""
    attempt = job.attempt
    claimed = records.read_json(job.store, contract.claim_key(attempt)) if attempt else None
    if claimed is None:
        raise JobNotFoundError(f"Job {job.plan.uri} was planned but never started: submit it again.")
    ended = outcome(job)
    gone = None if ended else died()
    ended = ended or outcome(job)  # it may have ended between the two looks
    base = JobInfo(
        name=job.plan.name,
        state=JobState.RUNNING,
        attempt=attempt,
        created_at=float(claimed["time"]),
        native={"folder": str(job.store.root)},
    )
    if ended:
        return replace(
            base,
            state=STATES.get(ended["state"], JobState.FAILED),
            reason=ended["reason"],
            message=f"{ended['message']} {ended['hint']}".strip(),
            ended_at=ended["ended_at"],
            exit_code=ended["exit_code"],
        )
    if gone and job.store.path(contract.cancel_key(attempt)).is_file():
        said = "Cancelled; it ended before it could say how."
        return replace(base, state=JobState.CANCELLED, reason="cancelled", message=said)
    return replace(base, state=JobState.FAILED, reason=gone[0], message=gone[1]) if gone else base


def ask_to_stop(job: FolderJob) -> None:
    """Leave the note by which the supervisor tells a cancel from a preemption."""
    note = json.dumps({"time": time.time()}).encode()
    job.store.put_if_absent(contract.cancel_key(job.attempt), note)


def write_secrets(secrets: Mapping[str, str]) -> Path | None:
    """A file that only this user can read, in memory where the system has such a folder; None without secrets."""
    if not secrets:
        return None
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="ftsdk-", dir=memory if os.access(memory, os.W_OK) else None)
    return secrets_file(Path(folder), secrets)


def secrets_file(folder: Path, secrets: Mapping[str, str]) -> Path:
    """`secrets.json` in a folder, readable by this user only."""
    path = folder / "secrets.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dict(secrets), file)
    return path
