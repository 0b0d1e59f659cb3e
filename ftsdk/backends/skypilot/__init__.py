"""The skypilot backend: any cloud, Kubernetes or Slurm that SkyPilot has, through SkyPilot's own API server.

The job's durable folder tells how it goes; SkyPilot is asked for what no supervisor can tell: whether it waits, is
being recovered, or is gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import Capabilities, Check, JobInfo, JobState, Verdict, require
from ftsdk.backends.options import Options
from ftsdk.backends.skypilot import failures, jobs, polling
from ftsdk.backends.skypilot import request as requests
from ftsdk.backends.skypilot.api import ApiServer
from ftsdk.backends.skypilot.jobs import SkyJob
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.backends.skypilot.polling import Looks
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

PATIENCE_S = 30.0
"""What a supervisor has, besides its grace, for seeing a cancel and writing down how it ended."""
PUT_AWAY_S = 300.0
"""So long after its end a job's cluster may still be there."""


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
        self._looks = Looks(self._server)
        self._gone: set[str] = set()
        self._priced: set[tuple[str, int]] = set()

    # --- start ---------------------------------------------------------------------------------------------
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
        asked = requests.Asked(spec=spec, facts=facts, options=self.options, name=name, digest=digest, durable=durable)
        made = build.draft(
            spec,
            facts,
            digest=digest,
            backend=self.name,
            layout=requests.layout(asked),
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=self.options.grace_s,
            restarts=True,
            storage=self._reached(durable),
        )
        options = self.options.model_dump(mode="json")
        scope = f"cluster/{self.options.cluster}" if self.options.cluster else next(iter(self.options.infra), "any")
        request = requests.request(asked)
        return build.plan_from(
            made,
            spec,
            backend=self.name,
            scope=scope,
            request=request,
            options=options,
            storage=self._reached(durable),
            warnings=requests.warnings(asked),
        )

    def on_demand(self, plan: Plan) -> Plan:
        """The same task on capacity that is not taken back."""
        task = plan.request["task"]
        resources = {name: value for name, value in task["resources"].items() if name != "use_spot"}
        return replace(plan, request={**plan.request, "task": {**task, "resources": resources}})

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
        """Hand the task in; SkyPilot's request id is kept beside the claim. Raises BackendError if SkyPilot refuses."""
        job = jobs.create(plan)
        self._bring_installer(plan)
        if not job.store.put_if_absent(contract.claim_key(plan.attempt), plan.claim()):
            return
        self._hand_in(job, plan, secrets)
        self._looks.tell(job, plan.attempt, Verdict(JobState.PENDING, message="SkyPilot has taken it."))

    def _bring_installer(self, plan: Plan) -> None:
        """What a node's virtual environment is made with lies where the task takes it from."""
        from ftsdk.backends.image import copy_installer

        folder, task = requests.trainer_dir(home_dir()), plan.request["task"]
        if any(str(folder) in text for text in (task.get("setup", ""), *task.get("file_mounts", {}).values())):
            copy_installer(folder)

    def _hand_in(self, job: SkyJob, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Launch, and write down what SkyPilot said to it."""
        asked = {name: plan.request[name] for name in ("kind", "cluster", "task")}
        try:
            said = self._server.run("launch", **asked, secrets=dict(secrets))
        except BackendError as problem:
            said = {"error": {"reason": failures.reason(problem), "message": str(problem)}}
            raise
        finally:
            job.store.put(jobs.request_key(plan.attempt), json.dumps(said).encode())

    # --- look ----------------------------------------------------------------------------------------------
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
        """Leave the note that a supervisor stops for, with its state saved; SkyPilot ends what has no supervisor."""
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

    # --- parts of these ------------------------------------------------------------------------------------
    def _find(self, job_id: str) -> SkyJob:
        return jobs.find(job_id, self.options)

    def _reached(self, durable: str) -> Storage:
        return self.options.reached if "://" in durable else {}

    def _info(self, job: SkyJob) -> JobInfo:
        info = jobs.running(job)
        ended = job.outcome()
        if ended and not self._may_go_on(job, ended["exit_code"]):
            self._put_away(job, ended["ended_at"])
            return shared.with_outcome(info, ended)
        if not ended and jobs.is_alive(job):
            self._insist(job)
            self._ask_price(job)
            return info
        verdict = self._looks.at(job, info.attempt)
        ended = job.outcome() if verdict.state.terminal else None  # it may have ended between the two looks
        return shared.with_outcome(info, ended) if ended else jobs.with_verdict(info, verdict)

    def _put_away(self, job: SkyJob, ended_at: float) -> None:
        """A cluster that was made for the job alone goes by itself two minutes after it; who sees the end may ask."""
        request = job.plan.for_attempt(job.attempt).request
        name, mine = request["cluster"], request["kind"] == requests.LAUNCHED
        if mine and not self.options.autostop_minutes and name not in self._gone and jobs.all_said(job):
            self._gone.add(name)
            if time.time() - ended_at < PUT_AWAY_S:
                with suppress(BackendError):
                    self._server.post("/down", {"cluster_name": name})

    def _ask_price(self, job: SkyJob) -> None:
        """Once a job runs, SkyPilot knows what its machines cost; the claim keeps it, and the cost so far follows."""
        key = job.plan.name, job.attempt
        claim = None if key in self._priced else records.read_json(job.store, contract.claim_key(job.attempt))
        self._priced.add(key)
        if claim and claim["usd_per_hour"] is None and not jobs.said(job).get("unpriced"):
            with suppress(BackendError):
                usd_per_hour = polling.usd_per_hour(self._server, job)
                if usd_per_hour == 0:  # a Slurm cluster whose prices nobody has told SkyPilot
                    jobs.keep(job, unpriced=True)
                elif usd_per_hour:
                    claim["usd_per_hour"] = usd_per_hour
                    job.store.put(contract.claim_key(job.attempt), json.dumps(claim).encode())

    def _insist(self, job: SkyJob) -> None:
        """A supervisor that does not heed a cancel within its grace is ended by SkyPilot."""
        asked_at = jobs.cancelled_at(job)
        key = job.plan.for_attempt(job.attempt).native_name
        if asked_at and time.time() - asked_at > self.options.grace_s + PATIENCE_S and key not in self._gone:
            self._gone.add(key)
            polling.end(self._server, job)

    def _may_go_on(self, job: SkyJob, exit_code: int) -> bool:
        """Whether SkyPilot starts the attempt again after this exit code."""
        return job.plan.request["kind"] == requests.MANAGED and exit_code in requests.RECOVERED
