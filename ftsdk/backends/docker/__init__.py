"""The docker backend: a detached container per node on the machine whose daemon the docker command talks to.

It goes through the docker program, which brings contexts, TLS, ssh, Windows and Podman; DOCKER_HOST and
DOCKER_CONTEXT count as they do on the command line. The job's durable folder is bind-mounted, so the daemon must see
this machine's files.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar

from ftsdk import contract
from ftsdk.backends import folders, image_contents, shared
from ftsdk.backends.base import Capabilities, Check, Deployments, JobInfo, JobState, ObservedState, require
from ftsdk.backends.docker import cleaning, command, nodes
from ftsdk.backends.docker import request as requests
from ftsdk.backends.docker.nodes import NodesState
from ftsdk.backends.docker.options import DockerOptions as DockerOptions
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

QUERY_INTERVAL_S = 0.5
"""Seconds between queries of Docker for a running job: an end without an outcome record is rare."""


class Docker:
    """Jobs as containers; they outlive the program that started them."""

    name: ClassVar[str] = "docker"
    capabilities: ClassVar[Capabilities] = Capabilities(
        multi_node=True, memory_limit=True, copies_models=True, image=True
    )
    options_model: ClassVar[type[Options]] = DockerOptions
    scope_option: ClassVar[str | None] = None

    def __init__(self, options: DockerOptions | None = None) -> None:
        self.options = options or DockerOptions()
        self._cleaned: set[tuple[str, int]] = set()
        self._alive: dict[str, tuple[float, NodesState]] = {}

    # --- plan and submit ---------------------------------------------------------------------------------------------
    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The docker commands, in their order."""
        require(self.name, self.capabilities, spec)
        _check_accelerators(spec, facts)
        digest = build.digest_of(spec, facts)
        name = build.job_name(spec, digest)
        draft = build.draft(
            spec,
            facts,
            digest=digest,
            backend=self.name,
            layout=requests.layout(facts),
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=self.options.grace_s,
        )
        draft = folders.held_against_memory(draft, spec, facts.machine)
        context = requests.DockerContext(
            spec=spec,
            facts=facts,
            options=self.options,
            name=name,
            digest=digest,
            folder=str(folders.durable_folder(self.name, name, spec, facts)),
            image=self._image(facts.machine.accelerators),
        )
        image_contents.refuse_missing(draft.rendered.config, context.image, facts.platforms)
        options = self.options.model_dump(mode="json")
        return build.plan_from(
            draft,
            spec,
            backend=self.name,
            request=requests.request(context),
            options=options,
            copies=tuple(folders.model_copies(facts).values()),
            warnings=folders.precision_warnings(draft.rendered.config, facts.machine),
            image=context.image,
        )

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """This machine's accelerators; nothing to pay."""
        return folders.market_here(self.name, self.capabilities, spec, facts)

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Run the plan's commands. Raises BackendError, and leaves nothing running, if Docker refuses one."""
        folders.refuse_precision(plan)
        self._sweep(plan.request["home"])  # first, because it also checks that the daemon answers
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
        self._alive[plan.name] = time.monotonic(), NodesState(ObservedState(JobState.RUNNING), {})
        if shared.is_cancelled(job.store, plan.attempt):
            self._stop(job)

    # --- query ----------------------------------------------------------------------------------------------
    def describe(self, job_id: str) -> JobInfo:
        """State from the nodes' outcome records; from Docker where a container left none or is started again."""
        job = folders.find(self.name, job_id)
        info = self._info(job)
        if info.state.terminal and (info.name, info.attempt) not in self._cleaned:
            self._cleaned.add((info.name, info.attempt))
            cleaning.remove(self.options.program, job)
        return info

    def list(self) -> Iterator[JobInfo]:
        """Every docker job of this home that was started."""
        self._sweep(str(home_dir()))
        for job in folders.each(self.name):
            if job.attempt:
                yield self._info(job)

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines of all attempts, from the segments in the durable folder; else Docker's log."""
        job = folders.find(self.name, job_id)
        yield from records.read_lines(
            job.store, after=after, follow=follow, ended=lambda: self.describe(job_id).state.terminal
        )
        yield from self._last_lines(job, after)

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

    def deployments(self) -> Deployments:
        """Models behind ports of this machine's loopback."""
        from ftsdk.backends.docker.deployments import DockerDeployments

        return DockerDeployments(self.options, self.capabilities)

    # --- internals ------------------------------------------------------------------------------------
    def _image(self, accelerators: tuple[str, ...]) -> str:
        from ftsdk.backends.image import default_tag

        return self.options.image or default_tag("cuda" if accelerators else "cpu")

    def _info(self, job: FolderJob) -> JobInfo:
        state = cache(lambda: self._query(job))
        info = folders.info(job, died=lambda: _end(state().observed))
        if info.exit_code is None or info.exit_code in nodes.RESTARTED:
            info = _joined(info, state().observed)
            if info.state.terminal:
                cleaning.bury(self.options.program, job, state().silent)
        if info.reason == "preempted":
            info = replace(info, reason=Reason.STOPPED)  # containers are never preempted: it was stopped by hand
        return info

    def _stop(self, job: FolderJob) -> None:
        command.send_off([self.options.program, "stop", *nodes.names(job)])

    def _sweep(self, home: str) -> None:
        cleaning.sweep(self.options.program, home, wanted=self._wanted)

    def _wanted(self, name: str, attempt: int) -> bool:
        """Whether an attempt's containers are still needed."""
        try:
            job = folders.find(self.name, name)
        except JobNotFoundError:
            return False
        if attempt == job.attempt and not self._info(job).state.terminal:
            return True
        cleaning.remove_secrets(job.plan.for_attempt(attempt).request["secrets"])
        return False

    def _query(self, job: FolderJob) -> NodesState:
        """Query Docker, unless the job was seen running within QUERY_INTERVAL_S."""
        queried_at, last = self._alive.pop(job.plan.name, (-QUERY_INTERVAL_S, None))
        if last is None or time.monotonic() - queried_at > QUERY_INTERVAL_S:
            queried_at, last = time.monotonic(), nodes.query(self.options.program, job)
        if not last.observed.state.terminal:
            self._alive[job.plan.name] = queried_at, last
        return last

    def _last_lines(self, job: FolderJob, after: str | None) -> Iterator[LogLine]:
        """Docker's log of an attempt whose supervisor wrote no line; `describe` stores it after the end."""
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


def _end(observed: ObservedState) -> tuple[str, str] | None:
    return (observed.reason, observed.message) if observed.state.terminal else None


def _joined(info: JobInfo, observed: ObservedState) -> JobInfo:
    """Docker's state, unless it only confirms that a node with an outcome record was not restarted."""
    if observed.state.terminal and info.exit_code is not None:
        return info
    state, reason, message, exit_code = observed
    return replace(info, state=state, reason=Reason.parse(reason), message=message, exit_code=exit_code, ended_at=None)


def _check_accelerators(spec: JobSpec, facts: Facts) -> None:
    """Refuse more GPUs than the machine has. Raises UnsupportedError."""
    gpus, resources = facts.machine.accelerators, spec.resources
    folders.require_accelerator(spec, facts)
    wanted = resources.num_nodes * resources.accelerators_per_node
    if gpus and wanted > len(gpus):
        raise UnsupportedError(
            f"resources: {resources.num_nodes} x {resources.accelerators_per_node} accelerators are wanted and this "
            f"machine has {len(gpus)}; ask for fewer, or choose another backend (`ftsdk backends`)."
        )


def _prepare(plan: Plan, secrets: Mapping[str, str]) -> None:
    """Create the mounted folders and the secrets' files, which the supervisors unlink after reading."""
    cleaning.remove_secrets(plan.request["secrets"])  # left by a start that was killed
    for folder in plan.request["folders"]:
        Path(folder).mkdir(parents=True, exist_ok=True)
    for folder in plan.request["secrets"]:
        Path(folder).mkdir(mode=0o700, parents=True)
        folders.secrets_file(Path(folder), secrets)
