"""A backend written from docs/backends/adding-a-backend.md alone: a folder on a host that a shell command reaches.

Here the command is `sh -c`; with `ssh HOST` in its place and the folder on a shared file system it runs jobs elsewhere.
The host sees the durable folder and none of this machine's other files, so inputs and runtime are copied into it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from ftsdk import contract
from ftsdk.backends import folders
from ftsdk.backends.base import Capabilities, JobInfo, require
from ftsdk.backends.folders import FolderJob
from ftsdk.backends.options import Options
from ftsdk.engines.base import Layout
from ftsdk.errors import BackendError
from ftsdk.facts import Facts
from ftsdk.plan import Plan, build
from ftsdk.spec import JobSpec
from ftsdk.storage import records
from ftsdk.storage.records import LogLine
from ftsdk.storage.store import Store

START = """
umask 077
{secrets}
cd {folder} || exit 1
{environment} setsid {python} {folder}/runtime.pyz supervise </dev/null >/dev/null 2>>{log} &
echo $!
"""
RUNS = "tr '\\0' ' ' </proc/{process}/cmdline 2>/dev/null | grep -qF {folder}/runtime.pyz"
"""Whether the process is still the job's: ids are reused."""


class ShellOptions(Options):
    """Options of the shell backend."""

    command: tuple[str, ...] = ("sh", "-c")
    """Command that runs a script, its last argument, on the host."""
    python: str = sys.executable
    """Interpreter on the host that has the trainer."""
    grace_s: float = 30.0
    """Seconds that a cancelled job has for saving its state."""


class Shell:
    """Jobs as processes of a host that a shell command reaches."""

    name: ClassVar[str] = "shell"
    capabilities: ClassVar[Capabilities] = Capabilities(accelerators=False)
    options_model: ClassVar[type[ShellOptions]] = ShellOptions
    scope_option: ClassVar[str | None] = None

    def __init__(self, options: ShellOptions | None = None) -> None:
        self.options = options or ShellOptions()

    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The script's parts, and which file is copied where."""
        require(self.name, self.capabilities, spec)
        digest = build.digest_of(spec, facts)
        name = build.job_name(spec, digest)
        folder = str(folders.durable_folder(self.name, name, spec, facts))
        layout = Layout(durable=folder, scratch=f"/tmp/ftsdk-{name}", inputs=build.staged(facts, f"{folder}/inputs"))
        draft = build.draft(
            spec,
            facts,
            digest=digest,
            backend=self.name,
            layout=layout,
            nproc_per_node=1,
            grace_s=self.options.grace_s,
            restarts=True,
        )
        inputs = {file.path: layout.inside(file.path) for file in facts.files}
        request = {
            "folder": folder,
            "command": list(self.options.command),
            "python": self.options.python,
            "environment": {
                contract.ENV_JOB: f"{folder}/{contract.JOB_FILE}",
                contract.ENV_NATIVE_NAME: contract.native_name(name, 1),
            },
            "files": {facts.runtime.path: f"{folder}/runtime.pyz", **inputs},
        }
        options = self.options.model_dump(mode="json")
        return build.plan_from(draft, spec, backend=self.name, request=request, options=options)

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Copy what the job needs and start its supervisor on the host."""
        job = folders.create(plan)
        for source, target in plan.request["files"].items():
            _copy(Path(source), Path(target))
        if folders.claim(job, plan.attempt):
            try:
                process = int(_run(plan.request["command"], _script(plan, secrets), secrets))
            except Exception:
                folders.release(job, plan.attempt)
                raise
            job.store.put(contract.process_key(plan.attempt), json.dumps({"pid": process}).encode())

    def describe(self, job_id: str) -> JobInfo:
        """State from the outcome record, or from whether the supervisor's process runs."""
        job = folders.find(self.name, job_id)
        info = folders.info(job, died=lambda: self._died(job))
        return replace(info, native={**info.native, "process": self._process(job)})

    def list(self) -> Iterator[JobInfo]:
        """Every job that was started from here."""
        for job in folders.each(self.name):
            if job.attempt:
                yield self.describe(job.plan.name)

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines of all attempts, from the segments in the durable folder."""
        store = folders.find(self.name, job_id).store
        return records.read_lines(store, after=after, follow=follow, ended=lambda: self.describe(job_id).state.terminal)

    def cancel(self, job_id: str) -> None:
        """Leave the note that distinguishes a cancel from a preemption, then send SIGTERM."""
        job = folders.find(self.name, job_id)
        process = self._process(job)
        if process and not self.describe(job_id).state.terminal:
            job.store.put_if_absent(contract.cancel_key(job.attempt), json.dumps({"time": 0}).encode())
            _run(self.options.command, f"kill -TERM {process} || true")

    def artifacts(self, job_id: str) -> Store:
        """The job's durable folder."""
        return folders.find(self.name, job_id).store

    def _process(self, job: FolderJob) -> int | None:
        record: dict[str, Any] | None = records.read_json(job.store, contract.process_key(job.attempt))
        return int(record["pid"]) if record else None

    def _died(self, job: FolderJob) -> tuple[str, str] | None:
        process = self._process(job)
        if process is None:  # the start is under way
            return None
        runs = RUNS.format(process=process, folder=shlex.quote(str(job.store.root)))
        if _run(self.options.command, f"if {runs}; then echo yes; fi"):
            return None
        return "killed", "The supervisor was killed; submit again to go on from the last checkpoint."


def _run(command: Sequence[str], script: str, secrets: Mapping[str, str] | None = None) -> str:
    """Run a script on the host, with the secrets on its standard input. Raises BackendError if it fails."""
    done = subprocess.run(
        [*command, script], input=json.dumps(dict(secrets or {})), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackendError(f"The host refused a command ({done.stderr.strip()[-300:]}): check the option 'command'.")
    return done.stdout


def _script(plan: Plan, secrets: Mapping[str, str]) -> str:
    """The script that starts an attempt and prints the process id of its supervisor."""
    folder, environment, receive = plan.request["folder"], dict(plan.request["environment"]), ""
    if secrets:
        environment[contract.ENV_SECRETS_FILE] = path = f"/dev/shm/{plan.native_name}/secrets.json"
        receive = f"mkdir -p /dev/shm/{plan.native_name}; cat >{path}"
    return START.format(
        secrets=receive,
        folder=shlex.quote(folder),
        environment=" ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items()),
        python=shlex.quote(plan.request["python"]),
        log=contract.supervisor_log_key(plan.attempt),
    )


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{uuid4().hex}")  # two submits at once each write a file of their own
        shutil.copyfile(source, part)
        part.replace(target)
