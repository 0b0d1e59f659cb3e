"""The skypilot backend: any cloud, Kubernetes or Slurm that SkyPilot has, through SkyPilot's own API server.

A job's state comes from its durable folder; SkyPilot is queried for what no supervisor can record: whether the job is
waiting, being recovered, or gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

from ftsdk import contract
from ftsdk.backends import image_contents, shared
from ftsdk.backends.base import Capabilities, Check, Deployments, JobInfo, JobState, ObservedState, require
from ftsdk.backends.options import Options
from ftsdk.backends.skypilot import default_image, failures, jobs, polling
from ftsdk.backends.skypilot import request as requests
from ftsdk.backends.skypilot.api import ApiServer
from ftsdk.backends.skypilot.jobs import LaunchRecord, SkyJob
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.backends.skypilot.polling import StatusCache
from ftsdk.backends.skypilot.shapes import SdkRequest, SdkResponse, SkyRequest
from ftsdk.contract.documents import Storage
from ftsdk.errors import BackendError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.home import home_dir
from ftsdk.plan import Plan, build
from ftsdk.runtime.storage.base import Store
from ftsdk.sizing.price.market import Market
from ftsdk.spec import JobSpec
from ftsdk.storage import records
from ftsdk.storage.records import LogLine

TIMEOUT_S = 30.0
"""Seconds for a supervisor, besides its grace, to notice a cancel and record the outcome."""
CLEAN_UP_WITHIN_S = 300.0
"""Seconds after a job's end within which its cluster is taken down."""


class SkyPilot:
    """Jobs as SkyPilot's managed jobs, or on clusters that SkyPilot makes for them."""

    name: ClassVar[str] = "skypilot"
    capabilities: ClassVar[Capabilities] = Capabilities(
        multi_node=True,
        spot=True,
        memory_limit=True,
        remote_inputs=True,
        remote_output=True,
        image=True,
        recovers=True,
    )
    options_model: ClassVar[type[Options]] = SkyPilotOptions
    scope_option: ClassVar[str | None] = None

    def __init__(self, options: SkyPilotOptions | None = None) -> None:
        self.options = options or SkyPilotOptions()
        self._server = ApiServer(self.options.sky_python)
        self._statuses = StatusCache(self._server)
        self._gone: set[str] = set()
        self._priced: set[tuple[str, int]] = set()

    # --- plan and submit ---------------------------------------------------------------------------------------------
    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """SkyPilot's task, as the data of its YAML file."""
        require(self.name, self.capabilities, spec)
        if self.options.cluster and spec.resources.spot:
            raise UnsupportedError(
                "resources.spot: the skypilot backend's option 'cluster' names a cluster that is up; leave one out."
            )
        digest = build.digest_of(spec, facts)
        name = build.job_name(spec, digest)
        durable = requests.durable_address(spec, self.options, name)
        context = requests.SkyPilotContext(
            spec=spec, facts=facts, options=self.options, name=name, digest=digest, durable=durable
        )
        requests.refuse_spot_on_kubernetes(context)
        scope = f"cluster/{self.options.cluster}" if self.options.cluster else next(iter(self.options.infra), "any")
        draft = build.draft(
            spec,
            facts,
            digest=digest,
            backend=self.name,
            layout=requests.layout(context),
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=self.options.grace_s,
            restarts=True,
            storage=self._reached(durable),
            scope=scope,
        )
        if context.has_default_image:
            accelerators = (spec.resources.accelerator, *self.options.accelerators)
            default_image.check(draft.rendered, tuple(filter(None, accelerators)))
        image_contents.refuse_missing(draft.rendered.config, requests.image_of(context), facts.platforms)
        options = self.options.model_dump(mode="json")
        request = requests.request(context)
        return build.plan_from(
            draft,
            spec,
            backend=self.name,
            scope=scope,
            request=request,
            options=options,
            image=requests.image_of(context),
            storage=self._reached(durable),
            warnings=requests.warnings(context),
        )

    def on_demand(self, plan: Plan) -> Plan:
        """The same task on capacity that is not taken back."""
        request = cast(SkyRequest, plan.request)
        task = request["task"]
        resources = {name: value for name, value in task["resources"].items() if name != "use_spot"}
        return replace(plan, request={**request, "task": {**task, "resources": resources}})

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """The machines in SkyPilot's own catalogue, as far as SkyPilot has fetched it to this machine."""
        from ftsdk.sizing.price.refresh import skypilot_catalogue

        require(self.name, self.capabilities, spec)
        folder = Path.home() / ".sky" / "catalogs" / "v8"
        machines, prices = skypilot_catalogue(folder)
        clouds = {where.partition("/")[0] for where in self.options.infra}
        wanted = tuple(machine for machine in machines if not clouds or machine.provider in clouds)
        why = f"SkyPilot's catalogue in {folder} has no machine of {', '.join(sorted(clouds)) or 'any cloud'}"
        return Market(machines=wanted, region=None, prices={**prices, **facts.prices}, why_none=why)

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Submit the task; its request id is stored beside the claim. Raises BackendError if SkyPilot refuses."""
        secrets = {**secrets, **requests.registry_secrets(plan, self.name)}
        job = jobs.create(plan)
        self._copy_installer(plan)
        if not job.store.put_if_absent(contract.claim_key(plan.attempt), plan.claim()):
            return
        self._launch(job, plan, secrets)
        self._statuses.put(job, plan.attempt, ObservedState(JobState.PENDING, message="SkyPilot has accepted it."))

    def _copy_installer(self, plan: Plan) -> None:
        """Copy the installer of a node's virtual environment to where the task reads it."""
        from ftsdk.backends.image import copy_installer

        folder, task = requests.trainer_dir(home_dir()), plan.request["task"]
        if any(str(folder) in text for text in (task.get("setup", ""), *task.get("file_mounts", {}).values())):
            copy_installer(folder)

    def _launch(self, job: SkyJob, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Launch the task and record SkyPilot's response."""
        launch: SdkRequest = {
            "verb": "launch",
            "kind": plan.request["kind"],
            "cluster": plan.request["cluster"],
            "task": plan.request["task"],
            "secrets": dict(secrets),
        }
        record: SdkResponse | LaunchRecord
        try:
            record = self._server.run(launch)
        except BackendError as problem:
            record = {"error": {"reason": failures.reason(problem), "message": str(problem)}}
            raise
        finally:
            job.store.put(jobs.request_key(plan.attempt), json.dumps(record).encode())

    # --- query ----------------------------------------------------------------------------------------------
    def describe(self, job_id: str) -> JobInfo:
        """State from the nodes' outcome records; from SkyPilot while there are none, or where it may start again."""
        return self._info(self._find(job_id))

    def list(self) -> Iterator[JobInfo]:
        """Every skypilot job that was started from here."""
        for job in jobs.each():
            if job.attempt:
                yield self._info(job)

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines of all attempts, from the segments in the durable folder: SkyPilot's own log loses those of before a
        recovery."""
        store = self._find(job_id).store
        return records.read_lines(store, after=after, follow=follow, ended=lambda: self.describe(job_id).state.terminal)

    def cancel(self, job_id: str) -> None:
        """Write the cancel note, on which supervisors save and stop; SkyPilot ends a job without a supervisor."""
        job = self._find(job_id)
        if self._info(job).state.terminal:
            return
        shared.write_cancel_note(job.store, job.attempt)
        if not records.has_lines(job.store, job.attempt):
            polling.end(self._server, job)

    def artifacts(self, job_id: str) -> Store:
        """The job's durable folder."""
        return self._find(job_id).store

    def doctor(self) -> Iterator[Check]:
        """SkyPilot's package, its API server, and the infra that it has access to."""
        from ftsdk.backends.skypilot import doctor

        return doctor.checks(self._server, self.options)

    def deployments(self) -> Deployments:
        """SkyServe services, rendered."""
        from ftsdk.backends.skypilot.deployments import SkyPilotDeployments

        return SkyPilotDeployments(self.options, self.capabilities)

    # --- internals ------------------------------------------------------------------------------------
    def _find(self, job_id: str) -> SkyJob:
        return jobs.find(job_id, self.options)

    def _reached(self, durable: str) -> Storage:
        return self.options.reached if "://" in durable else {}

    def _info(self, job: SkyJob) -> JobInfo:
        info = jobs.running(job)
        ended = job.outcome()
        if ended and not self._may_restart(job, ended["exit_code"]):
            self._clean_up(job, ended["ended_at"])
            return shared.with_outcome(info, ended)
        if not ended and jobs.is_alive(job):
            self._end_if_unresponsive(job)
            self._record_price(job)
            return info
        observed = self._statuses.get(job, info.attempt)
        ended = job.outcome() if observed.state.terminal else None  # it may have ended meanwhile
        return shared.with_outcome(info, ended) if ended else jobs.with_observed(info, observed)

    def _clean_up(self, job: SkyJob, ended_at: float) -> None:
        """Take down a cluster of the job's own at once, which SkyPilot would do two minutes after the end."""
        request = jobs.request_of(job)
        name, is_own = request["cluster"], request["kind"] == requests.LAUNCHED
        if is_own and not self.options.autostop_minutes and name not in self._gone and jobs.all_recorded(job):
            self._gone.add(name)
            if time.time() - ended_at < CLEAN_UP_WITHIN_S:
                with suppress(BackendError):
                    self._server.post("/down", {"cluster_name": name})

    def _record_price(self, job: SkyJob) -> None:
        """Store the machines' price in the claim once SkyPilot knows it; the cost so far is computed from it."""
        key = job.plan.name, job.attempt
        claim = None if key in self._priced else records.read_json(job.store, contract.claim_key(job.attempt))
        self._priced.add(key)
        if claim and claim["usd_per_hour"] is None and not jobs.launch_record(job).get("unpriced"):
            with suppress(BackendError):
                usd_per_hour = polling.usd_per_hour(self._server, job)
                if usd_per_hour == 0:  # a Slurm cluster without prices in SkyPilot's configuration
                    jobs.add_to_record(job, unpriced=True)
                elif usd_per_hour:
                    claim["usd_per_hour"] = usd_per_hour
                    job.store.put(contract.claim_key(job.attempt), json.dumps(claim).encode())

    def _end_if_unresponsive(self, job: SkyJob) -> None:
        """End the job through SkyPilot if its supervisor does not stop within its grace after a cancel."""
        cancelled_at = jobs.cancelled_at(job)
        key = job.plan.for_attempt(job.attempt).native_name
        if cancelled_at and time.time() - cancelled_at > self.options.grace_s + TIMEOUT_S and key not in self._gone:
            self._gone.add(key)
            polling.end(self._server, job)

    def _may_restart(self, job: SkyJob, exit_code: int) -> bool:
        """Whether SkyPilot starts the attempt again after this exit code."""
        return jobs.request_of(job)["kind"] == requests.MANAGED and exit_code in requests.RECOVERED
