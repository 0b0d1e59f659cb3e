"""Jobs whose durable folder lies on this machine: what the local and the docker backend share.

`HOME/jobs/BACKEND/NAME/plan.json` is the plan of the newest attempt; it tells where the durable folder is (that same
folder unless the spec names an `output`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import Capabilities, JobInfo, JobState, require
from ftsdk.backends.shared import SubmittedJob
from ftsdk.contract import Reason
from ftsdk.errors import JobNotFoundError, UnsupportedError
from ftsdk.facts import Facts, MachineFacts
from ftsdk.facts.machine import inspect_machine
from ftsdk.home import home_dir, jobs_dir
from ftsdk.plan import Copy, Plan
from ftsdk.plan.build import Draft
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.sizing.forward import on_main_memory
from ftsdk.sizing.price.market import Market, own_machine
from ftsdk.spec import JobSpec
from ftsdk.storage import copying, records

PLAN_FILE = "plan.json"
FolderJob = SubmittedJob[FolderStore]


def durable_folder(backend: str, name: str, spec: JobSpec, facts: Facts) -> Path:
    """Where a job keeps its results: below `output` (read against the spec's folder), else below ftsdk's home. Pure."""
    return Path(facts.folder, spec.output, name) if spec.output else jobs_dir(facts.home, backend) / name


def model_copies(facts: Facts) -> dict[str, Copy]:
    """Address of each model in a bucket -> its copy in this machine's cache. Pure."""
    root = str(Path(facts.home, "cache"))
    return {address: copying.copy_of(address, root, size) for address, size in facts.remote_models.items()}


def held_against_memory(draft: Draft, spec: JobSpec, machine: MachineFacts) -> Draft:
    """The draft whose estimate says whether a program fits into this machine's main memory, where there is no GPU."""
    if machine.accelerators:
        return draft
    return replace(draft, estimate=on_main_memory(spec, draft.estimate, machine.memory_gib))


def require_accelerator(spec: JobSpec, facts: Facts) -> None:
    """Refuse a spec that names an accelerator on a machine without one. Raises UnsupportedError."""
    if spec.resources.accelerator and not facts.machine.accelerators:
        raise UnsupportedError(
            f"resources.accelerator {spec.resources.accelerator}: this machine has no NVIDIA GPU; leave it out to "
            f"train on the CPU, or choose another backend (`ftsdk backends`)."
        )


NO_BF16 = (
    "hyperparameters.bf16: this machine has no accelerator that computes in it, and the trainer refuses it on a CPU; "
    "leave it out to train in 32 bits, or choose another backend (`ftsdk backends`)."
)


def precision_warnings(config: Mapping[str, object], machine: MachineFacts) -> tuple[str, ...]:
    """A sentence if a trainer's configuration asks for bfloat16 on a machine that trains on its CPU."""
    inner = config.get("arguments")  # TRL's are nested
    given = inner if isinstance(inner, Mapping) else config
    on_cpu = machine.platform == "linux" and not machine.accelerators
    return (NO_BF16,) if given.get("bf16") and not given.get("use_cpu") and on_cpu else ()


def refuse_precision(plan: Plan) -> None:
    """Raises UnsupportedError for bfloat16 on a machine without an accelerator."""
    for sentence in precision_warnings(plan.trainer_config, inspect_machine()):
        raise UnsupportedError(sentence)


def market_here(name: str, capabilities: Capabilities, spec: JobSpec, facts: Facts) -> Market:
    """This machine's accelerators. Raises UnsupportedError for what the backend cannot do."""
    require(name, capabilities, spec)
    return own_machine(facts.machine.accelerators)


def create(plan: Plan) -> FolderJob:
    """Make the folders of a job and write its document and plan, unless the attempt is already claimed."""
    job = SubmittedJob(plan, FolderStore(plan.request["folder"]))
    if job.store.path(contract.claim_key(plan.attempt)).exists():
        return job
    records.check_owner(job.store, plan.backend)
    control = FolderStore(jobs_dir(home_dir(), plan.backend) / plan.name)
    document, written = json.dumps(plan.document, indent=1).encode(), json.dumps(plan.to_json()).encode()
    remedy = "set `output` to another folder"
    shared.write_files(plan, {contract.JOB_FILE: document}, [job.store], remedy=remedy)
    shared.write_files(plan, {PLAN_FILE: written}, [control], remedy=remedy)
    return job


def claim(job: FolderJob, attempt: int) -> bool:
    """Whether this call may start the attempt; only one caller ever gets True."""
    return job.store.put_if_absent(contract.claim_key(attempt), job.plan.for_attempt(attempt).claim())


def release(job: FolderJob, attempt: int) -> None:
    """Remove the claim after a failed start."""
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
    return SubmittedJob(plan, FolderStore(plan.request["folder"]))


def each(backend: str) -> Iterator[FolderJob]:
    """All jobs of a backend, newest first."""
    for name in names(backend):
        try:
            yield find(backend, name)
        except JobNotFoundError:
            continue


def names(backend: str) -> list[str]:
    """Names of a backend's jobs that this machine submitted, newest first."""
    written = dict[str, float]()
    with suppress(FileNotFoundError):
        for folder in jobs_dir(home_dir(), backend).iterdir():
            with suppress(OSError):  # no plan, or no folder
                written[folder.name] = (folder / PLAN_FILE).stat().st_mtime
    return sorted(written, key=lambda name: written[name], reverse=True)


def info(job: FolderJob, *, died: Callable[[], tuple[str, str] | None]) -> JobInfo:
    """State of the newest attempt. `died` returns (reason, message) if it ended without an outcome, else None."""
    running = shared.running(job, {"folder": str(job.store.root)})
    outcome = records.outcome(job.store, running.attempt, job.num_nodes)
    gone = None if outcome else died()
    if gone:  # it may have ended while `died` ran
        outcome = records.outcome(job.store, running.attempt, job.num_nodes)
    if outcome:
        return shared.with_outcome(running, outcome)
    if gone and shared.is_cancelled(job.store, running.attempt):
        message = "Cancelled; it ended without recording an outcome."
        return replace(running, state=JobState.CANCELLED, reason=Reason.CANCELLED, message=message)
    return replace(running, state=JobState.FAILED, reason=Reason(gone[0]), message=gone[1]) if gone else running


def secrets_file(folder: Path, secrets: Mapping[str, str]) -> Path:
    """`secrets.json` in a folder, readable by this user only."""
    path = folder / "secrets.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dict(secrets), file)
    return path
