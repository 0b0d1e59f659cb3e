"""The local backend: a detached child process on this machine. No container, no cloud, a GPU only if there is one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from threading import Thread
from typing import ClassVar

from ftsdk import contract
from ftsdk.backends import folders, shared
from ftsdk.backends.base import Capabilities, Check, JobInfo, require
from ftsdk.backends.folders import FolderJob
from ftsdk.backends.options import Options
from ftsdk.engines.base import Layout
from ftsdk.errors import JobNotFoundError, NotInstalledError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.plan import Plan, build
from ftsdk.runtime import overlays
from ftsdk.runtime.storage.base import Store
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.sizing.price.market import Market
from ftsdk.spec import JobSpec
from ftsdk.storage import records
from ftsdk.storage.records import LogLine

LOCK_FILE = "lock"
LOCK_TIMEOUT_S = 0.25
"""Seconds that a submit waits for the lock, which a `describe` holds for microseconds."""
EXIT_TIMEOUT_S = 30.0
"""Seconds that a supervisor may take to exit after it has recorded its outcome."""


class LocalOptions(Options):
    """Options of the local backend."""

    python: str | None = None
    """Interpreter that has the trainer; ftsdk's own if left out."""
    grace_s: float = 30.0
    """Seconds that a cancelled job has for saving its state."""


class Local:
    """Jobs as child processes of this machine's user; they outlive the program that started them."""

    name: ClassVar[str] = "local"
    capabilities: ClassVar[Capabilities] = Capabilities(copies_models=True)
    options_model: ClassVar[type[Options]] = LocalOptions
    scope_option: ClassVar[str | None] = None

    def __init__(self, options: LocalOptions | None = None) -> None:
        self.options = options or LocalOptions()

    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The command line, environment and folder of the process."""
        require(self.name, self.capabilities, spec)
        folders.require_accelerator(spec, facts)
        digest = build.digest_of(spec, facts)
        name = build.job_name(spec, digest)
        folder = folders.durable_folder(self.name, name, spec, facts)
        copies = folders.model_copies(facts)
        inputs = {address: copy.target.rstrip("/") for address, copy in copies.items()}
        layout = Layout(durable=str(folder), scratch=str(folder / "scratch"), inputs=inputs)
        draft = build.draft(
            spec,
            facts,
            digest=digest,
            backend=self.name,
            layout=layout,
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=self.options.grace_s,
            restarts=True,
        )
        draft = folders.held_against_memory(draft, spec, facts.machine)
        request = {
            "argv": [self.options.python or sys.executable, facts.runtime.path, "supervise"],
            "env": {
                contract.ENV_JOB: str(folder / contract.JOB_FILE),
                contract.ENV_NATIVE_NAME: contract.native_name(name, 1),
            },
            "folder": str(folder),
        }
        options = self.options.model_dump(mode="json")
        warnings = folders.precision_warnings(draft.rendered.config, facts.machine)
        return build.plan_from(
            draft, spec, backend=self.name, request=request, options=options, copies=tuple(copies.values()),
            warnings=warnings,
        )  # fmt: skip

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """This machine's accelerators; nothing to pay."""
        return folders.market_here(self.name, self.capabilities, spec, facts)

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Start the supervisor in a session of its own; the lock that it inherits is held while it runs."""
        _check_trainer(plan)
        folders.refuse_precision(plan)
        job = folders.create(plan)
        has_ended = plan.attempt > job.attempt and job.outcome() is not None
        lock = _lock(job.store, EXIT_TIMEOUT_S if has_ended else LOCK_TIMEOUT_S)
        if lock is None:
            return
        try:
            if folders.claim(job, plan.attempt):
                _start(plan, job, secrets, lock)
        finally:
            os.close(lock)

    def describe(self, job_id: str) -> JobInfo:
        """State from the outcome record, or from whether the supervisor still holds the lock."""
        return _info(folders.find(self.name, job_id))

    def list(self) -> Iterator[JobInfo]:
        """Every local job that was started."""
        for job in folders.each(self.name):
            with contextlib.suppress(JobNotFoundError):  # planned, and never started
                yield _info(job)

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines of all attempts, from the segments in the durable folder."""
        store = folders.find(self.name, job_id).store
        return records.read_lines(store, after=after, follow=follow, ended=lambda: self.describe(job_id).state.terminal)

    def cancel(self, job_id: str) -> None:
        """SIGTERM to the supervisor, which saves, and kills the trainer once the grace is over."""
        job = folders.find(self.name, job_id)
        process = records.read_json(job.store, contract.process_key(job.attempt))
        if process and _alive(job.store):
            shared.write_cancel_note(job.store, job.attempt)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGTERM)

    def doctor(self) -> Iterator[Check]:
        """The interpreter, the trainer in it, and whether its parts fit together."""
        from ftsdk.backends.local import doctor

        return doctor.checks(self.options.python or sys.executable)

    def artifacts(self, job_id: str) -> Store:
        """The job's durable folder."""
        return folders.find(self.name, job_id).store


def trainer_python() -> str:
    """The interpreter that local jobs train with, as configured on this machine."""
    from ftsdk.backends import options

    return options.resolve("local", LocalOptions, {}).python or sys.executable


def _check_trainer(plan: Plan) -> None:
    python = plan.request["argv"][0]
    if sys.platform == "win32":
        raise UnsupportedError("The local backend needs Linux or macOS; use --backend docker on Windows.")
    if python == sys.executable and _is_missing(plan.document["trainer"]):
        raise NotInstalledError(
            "The trainer is not installed beside ftsdk: run `make setup` in a checkout or pip install 'ftsdk[train]', "
            "name an interpreter that has it (-o python=…), or use --backend docker."
        )


def _is_missing(trainer: str) -> bool:
    """Whether this interpreter's environment lacks what a trainer of ours imports."""
    beside_llamafactory = find_spec("llamafactory") is not None
    if trainer == "trl":  # the TRL beside LLaMA-Factory is too old, one that stands alone is the user's choice
        return not overlays.overlay("rl").is_dir() and (beside_llamafactory or find_spec("trl") is None)
    if trainer.startswith("trained.") and trainer != "trained.evaluator":  # which reads rows as LLaMA-Factory does
        return find_spec("transformers") is None
    return trainer in ("llamafactory", "ppo", "trained.evaluator") and not beside_llamafactory


def _start(plan: Plan, job: FolderJob, secrets: Mapping[str, str], lock: int) -> None:
    environment = {**os.environ, **plan.request["env"]}
    inherited = [lock]
    if secrets:
        inherited.append(_in_memory(json.dumps(dict(secrets)).encode()))
        environment[contract.ENV_SECRETS_FILE] = f"{contract.DESCRIPTORS}{inherited[-1]}"
    log = job.store.path(contract.supervisor_log_key(plan.attempt))
    try:
        with log.open("ab") as errors:
            process = subprocess.Popen(
                plan.request["argv"],
                env=environment,
                cwd=job.store.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # its lines are in the segments
                stderr=errors,
                start_new_session=True,
                pass_fds=inherited,
            )
    except OSError as problem:
        folders.release(job, plan.attempt)
        raise NotInstalledError(
            f"{plan.request['argv'][0]} cannot be started ({problem.strerror}): "
            f"set the local backend's option 'python'."
        ) from problem
    finally:
        for descriptor in inherited[1:]:
            os.close(descriptor)
    Thread(target=process.wait, daemon=True).start()  # avoids a zombie process
    job.store.put(contract.process_key(plan.attempt), b'{"pid": %d}' % process.pid)


def _in_memory(data: bytes) -> int:
    """A descriptor of data that no folder names: it ends with the processes that hold it, however they end."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ftsdk-secrets")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.write(descriptor, data)
    return descriptor


# --- liveness ---------------------------------------------------------------------------------------------
def _lock(store: FolderStore, timeout_s: float) -> int | None:
    """Take the job's lock; None if a supervisor or another submit still holds it after `timeout_s`."""
    import fcntl

    descriptor = os.open(store.path(LOCK_FILE), os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.005)


def _alive(store: FolderStore) -> bool:
    """Whether a supervisor holds the lock; unlike a process id, a lock is never reused."""
    import fcntl

    try:
        descriptor = os.open(store.path(LOCK_FILE), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _info(job: FolderJob) -> JobInfo:
    return folders.info(job, died=lambda: None if _alive(job.store) else _last_lines(job))


def _last_lines(job: FolderJob) -> tuple[str, str]:
    log = job.store.path(contract.supervisor_log_key(job.attempt))
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.is_file() else []
    if lines:
        return "crashed", f"The job's supervisor crashed: {lines[-1][:300]} (full log: {log})."
    return (
        "killed",
        "The supervisor was killed without recording an outcome; submit again to continue from the last checkpoint.",
    )
