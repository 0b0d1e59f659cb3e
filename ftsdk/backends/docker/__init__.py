"""The docker backend: a detached container per node on the machine whose daemon the docker command talks to.

It goes through the docker program, which brings contexts, TLS, ssh, Windows and Podman; DOCKER_HOST and
DOCKER_CONTEXT count as they do on the command line. The job's durable folder is bind-mounted, so the daemon must see
this machine's files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from ftsdk import contract
from ftsdk.backends import folders, shared
from ftsdk.backends.base import Capabilities, Check, JobInfo, JobState, Verdict, require
from ftsdk.backends.docker import cleaning, command, nodes
from ftsdk.backends.docker import request as requests
from ftsdk.backends.docker.nodes import Look
from ftsdk.backends.folders import FolderJob
from ftsdk.backends.options import Options
from ftsdk.contract import Reason, Stamp
from ftsdk.errors import JobNotFoundError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.home import home_dir
from ftsdk.plan import Plan, build
from ftsdk.runtime.storage.base import Store
from ftsdk.sizing.price.market import Market
from ftsdk.spec import JobSpec
from ftsdk.storage import records
from ftsdk.storage.records import LogLine

LOOK_EVERY_S = 0.5
"""An end without an outcome record is rare, so Docker is not asked at every poll of a job that ran a moment ago."""


def _caller() -> str | None:
    """`uid:gid` of this process where the system has such a thing."""
    return f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else None


class DockerOptions(Options):
    """Options of the docker backend."""

    image: str | None = None
    """Image that holds the trainer and a `python`; what `ftsdk image build` makes if left out."""
    user: str | None = Field(default_factory=_caller)
    """UID:GID in the container, so that outputs are yours; you if left out, the image's own user if empty."""
    shm_size_gb: float = Field(default=8.0, gt=0)
    """Upper limit of shared memory, through which data loaders and NCCL pass tensors, in gigabytes."""
    grace_s: float = Field(default=30.0, ge=0)
    """Seconds that a cancelled job has for saving its state."""
    restarts: int = Field(default=2, ge=0)
    """How often Docker starts a crashed container again; it goes on from the last checkpoint."""
    program: str = "docker"
    """The docker command, e.g. `podman` or a path."""


class Docker:
    """Jobs as containers; they outlive the program that started them."""

    name: ClassVar[str] = "docker"
    capabilities: ClassVar[Capabilities] = Capabilities(multi_node=True, memory_limit=True, image=True)
    options_model: ClassVar[type[Options]] = DockerOptions
    scope_option: ClassVar[str | None] = None

    def __init__(self, options: DockerOptions | None = None) -> None:
        self.options = options or DockerOptions()
        self._put_away: set[tuple[str, int]] = set()
        self._alive: dict[str, tuple[float, Look]] = {}

    # --- start ---------------------------------------------------------------------------------------------
    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The docker commands, in their order."""
        require(self.name, self.capabilities, spec)
        _check_accelerators(spec, facts)
        digest = build.digest_of(spec, facts)
        name = build.job_name(spec, digest)
        made = build.draft(
            spec,
            facts,
            digest=digest,
            backend=self.name,
            layout=requests.layout(facts),
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=self.options.grace_s,
        )
        asked = requests.Asked(
            spec=spec,
            facts=facts,
            options=self.options,
            name=name,
            digest=digest,
            folder=str(folders.durable_folder(self.name, name, spec, facts)),
            image=self._image(facts.machine.accelerators),
        )
        options = self.options.model_dump(mode="json")
        return build.plan_from(made, spec, backend=self.name, request=requests.request(asked), options=options)

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """This machine's accelerators; nothing to pay."""
        return folders.market_here(self.name, self.capabilities, spec, facts)

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Run the plan's commands. Raises BackendError, and leaves nothing running, if Docker refuses one."""
        self._sweep(plan.request["home"])  # before anything is made: it also tells whether the daemon answers
        job = folders.create(plan)
        if not folders.claim(job, plan.attempt):
            return
        try:
            _prepare(plan, secrets)
            for argv in plan.request["commands"]:
                command.ask(argv)
        except BaseException:
            cleaning.clear(plan)
            folders.release(job, plan.attempt)
            raise
        self._alive[plan.name] = time.monotonic(), Look(Verdict(JobState.RUNNING), {})
        if shared.is_cancelled(job.store, plan.attempt):
            self._stop(job)

    # --- look ----------------------------------------------------------------------------------------------
    def describe(self, job_id: str) -> JobInfo:
        """State from the nodes' outcome records; from Docker where a container left none or is started again."""
        job = folders.find(self.name, job_id)
        info = self._info(job)
        if info.state.terminal and (info.name, info.attempt) not in self._put_away:
            self._put_away.add((info.name, info.attempt))
            cleaning.remove(self.options.program, job)
        return info

    def list(self) -> Iterator[JobInfo]:
        """Every docker job of this home that was started."""
        self._sweep(str(home_dir()))
        for job in folders.each(self.name):
            if job.attempt:
                yield self._info(job)

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines of all attempts, from the segments in the durable folder; last words of one that wrote none."""
        job = folders.find(self.name, job_id)
        yield from records.read_lines(
            job.store, after=after, follow=follow, ended=lambda: self.describe(job_id).state.terminal
        )
        yield from self._last_words(job, after)

    def cancel(self, job_id: str) -> None:
        """SIGTERM to the supervisors, which save; SIGKILL once the grace is over."""
        if not self.describe(job_id).state.terminal:
            job = folders.find(self.name, job_id)
            shared.write_cancel_note(job.store, job.attempt)
            self._stop(job)

    def artifacts(self, job_id: str) -> Store:
        """The job's durable folder."""
        return folders.find(self.name, job_id).store

    def doctor(self) -> Iterator[Check]:
        """The docker program, its daemon, the image and, on a machine with GPUs, the way to them."""
        from ftsdk.backends.docker import doctor

        return doctor.checks(self.options.program, self._image)

    # --- parts of these ------------------------------------------------------------------------------------
    def _image(self, accelerators: tuple[str, ...]) -> str:
        from ftsdk.backends.image import default_tag

        return self.options.image or default_tag("cuda" if accelerators else "cpu")

    def _info(self, job: FolderJob) -> JobInfo:
        look = cache(lambda: self._look(job))
        info = folders.info(job, died=lambda: _end(look().verdict))
        if info.exit_code is None or info.exit_code in nodes.RESTARTED:
            info = _joined(info, look().verdict)
            if info.state.terminal:
                cleaning.bury(self.options.program, job, look().silent)
        if info.reason == "preempted":
            info = replace(info, reason=Reason.STOPPED)  # nothing preempts a container: somebody stopped it
        return info

    def _stop(self, job: FolderJob) -> None:
        command.send_off([self.options.program, "stop", *nodes.names(job)])

    def _sweep(self, home: str) -> None:
        cleaning.sweep(self.options.program, home, wanted=self._wanted)

    def _wanted(self, name: str, attempt: int) -> bool:
        """Whether an attempt's containers still have something to do."""
        try:
            job = folders.find(self.name, name)
        except JobNotFoundError:
            return False
        if attempt == job.attempt and not self._info(job).state.terminal:
            return True
        cleaning.remove_secrets(job.plan.for_attempt(attempt).request)
        return False

    def _look(self, job: FolderJob) -> Look:
        """Ask Docker, unless the job ran a moment ago."""
        looked_at, last = self._alive.pop(job.plan.name, (-LOOK_EVERY_S, None))
        if last is None or time.monotonic() - looked_at > LOOK_EVERY_S:
            looked_at, last = time.monotonic(), nodes.look(self.options.program, job)
        if not last.verdict.state.terminal:
            self._alive[job.plan.name] = looked_at, last
        return last

    def _last_words(self, job: FolderJob, after: str | None) -> Iterator[LogLine]:
        """What Docker heard of an attempt whose supervisor wrote no line; `describe` keeps it when it finds it dead."""
        attempt = job.attempt
        if not attempt or records.has_lines(job.store, attempt) or not self.describe(job.plan.name).state.terminal:
            return
        seen = records.parse_cursor(after).get(0, Stamp(0, 0, 0))
        log = job.store.path(contract.supervisor_log_key(attempt))
        lines = log.read_text("utf-8", "replace").splitlines() if log.is_file() else []
        for number, line in enumerate(lines, 1):
            stamp = Stamp(attempt, 0, number)
            if stamp > seen:
                yield LogLine(line, str(stamp))


def _end(verdict: Verdict) -> tuple[str, str] | None:
    return (verdict.reason, verdict.message) if verdict.state.terminal else None


def _joined(info: JobInfo, verdict: Verdict) -> JobInfo:
    """Docker's verdict, unless it only confirms that a node which said how it ended was not started again."""
    if verdict.state.terminal and info.exit_code is not None:
        return info
    state, reason, message, exit_code = verdict
    return replace(info, state=state, reason=Reason.parse(reason), message=message, exit_code=exit_code, ended_at=None)


def _check_accelerators(spec: JobSpec, facts: Facts) -> None:
    """Refuse more GPUs than the machine has. Raises UnsupportedError."""
    there, resources = facts.machine.accelerators, spec.resources
    folders.require_accelerator(spec, facts)
    wanted = resources.num_nodes * resources.accelerators_per_node
    if there and wanted > len(there):
        raise UnsupportedError(
            f"resources: {resources.num_nodes} x {resources.accelerators_per_node} accelerators are wanted and this "
            f"machine has {len(there)}; ask for fewer, or choose another backend (`ftsdk backends`)."
        )


def _prepare(plan: Plan, secrets: Mapping[str, str]) -> None:
    """Folders that are mounted, and the secrets' files, which their readers unlink."""
    cleaning.remove_secrets(plan.request)  # of a start that died before its reader lived
    for folder in plan.request["folders"]:
        Path(folder).mkdir(parents=True, exist_ok=True)
    for folder in plan.request["secrets"]:
        Path(folder).mkdir(mode=0o700, parents=True)
        folders.secrets_file(Path(folder), secrets)
