"""The skypilot backend: any cloud, Kubernetes or Slurm that SkyPilot has, through SkyPilot's own API server.

The job's durable folder tells how it goes; SkyPilot is asked for what no supervisor can tell: whether it waits, is
being recovered, or is gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from ftsdk import contract, planning, records
from ftsdk.backends.base import Capabilities, Check, JobInfo, JobState, require
from ftsdk.backends.skypilot import failures, jobs, look
from ftsdk.backends.skypilot import request as requests
from ftsdk.backends.skypilot.api import ApiServer
from ftsdk.backends.skypilot.jobs import SkyJob
from ftsdk.backends.skypilot.look import Looks
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.backends.skypilot.states import Verdict
from ftsdk.contract import Storage
from ftsdk.errors import BackendError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.plan import Plan
from ftsdk.records import LogLine
from ftsdk.spec import JobSpec
from ftsdk.store import Store


class SkyPilot:
    """Jobs as SkyPilot's managed jobs, or on clusters that SkyPilot makes for them."""

    name: ClassVar[str] = "skypilot"
    capabilities: ClassVar[Capabilities] = Capabilities(
        multi_node=True, spot=True, memory_limit=True, remote_output=True, image=True, recovers=True
    )
    options_model: ClassVar[type[SkyPilotOptions]] = SkyPilotOptions

    def __init__(self, options: SkyPilotOptions | None = None) -> None:
        self.options = options or SkyPilotOptions()
        self._server = ApiServer(self.options.sky_python)
        self._looks = Looks(self._server)

    # --- start ---------------------------------------------------------------------------------------------
    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """SkyPilot's task, as the data of its YAML file."""
        require(self.name, self.capabilities, spec)
        if self.options.cluster and spec.resources.spot:
            raise UnsupportedError(
                "resources.spot: the skypilot backend's option 'cluster' names a cluster that is up; leave one out."
            )
        digest = planning.digest_of(spec, facts)
        name = planning.job_name(spec, digest)
        durable = requests.durable_address(spec, self.options, name)
        asked = requests.Asked(spec=spec, facts=facts, options=self.options, name=name, digest=digest, durable=durable)
        made = planning.draft(
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
        plan = planning.plan_from(made, spec, backend=self.name, scope=scope, request=request, options=options)
        return replace(plan, storage=self._reached(durable), warnings=(*plan.warnings, *requests.warnings(asked)))

    def on_demand(self, plan: Plan) -> Plan:
        """The same task on capacity that is not taken back."""
        task = plan.request["task"]
        resources = {name: value for name, value in task["resources"].items() if name != "use_spot"}
        return replace(plan, request={**plan.request, "task": {**task, "resources": resources}})

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> str:
        """Hand the task in; SkyPilot's request id is kept beside the claim. Raises BackendError if SkyPilot refuses."""
        job = jobs.create(plan)
        if not job.store.put_if_absent(contract.claim_key(plan.attempt), plan.claim()):
            return plan.native_name
        request = plan.request
        try:
            said = self._server.run(
                "launch", kind=request["kind"], cluster=request["cluster"], task=request["task"], secrets=dict(secrets)
            )
        except BackendError as problem:
            said = {"error": {"reason": failures.reason(problem), "message": str(problem)}}
            raise
        finally:
            job.store.put(jobs.request_key(plan.attempt), json.dumps(said).encode())
        self._looks.tell(job, plan.attempt, Verdict(JobState.PENDING, message="SkyPilot has taken it."))
        return plan.native_name

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
        note = json.dumps({"time": time.time()}).encode()
        job.store.put_if_absent(contract.cancel_key(job.attempt), note)
        if not jobs.has_lines(job):
            look.end(self._server, job)

    def artifacts(self, job_id: str) -> Store:
        """The job's durable folder."""
        return self._find(job_id).store

    def doctor(self) -> Iterator[Check]:
        """SkyPilot's package, its API server, and the infra that it has access to."""
        from ftsdk.backends.skypilot import diagnosis

        return diagnosis.checks(self._server, self.options)

    # --- parts of these ------------------------------------------------------------------------------------
    def _find(self, job_id: str) -> SkyJob:
        return jobs.find(job_id, self.options)

    def _reached(self, durable: str) -> Storage:
        return self.options.reached if "://" in durable else {}

    def _info(self, job: SkyJob) -> JobInfo:
        info = jobs.running(job)
        ended = jobs.outcome(job)
        if ended and not self._may_go_on(job, ended["exit_code"]):
            return jobs.with_outcome(info, ended)
        if not ended and jobs.is_alive(job):
            return info
        verdict = self._looks.at(job, info.attempt)
        ended = jobs.outcome(job) if verdict.state.terminal else None  # it may have ended between the two looks
        return jobs.with_outcome(info, ended) if ended else jobs.with_verdict(info, verdict)

    def _may_go_on(self, job: SkyJob, exit_code: int) -> bool:
        """Whether SkyPilot starts the attempt again after this exit code."""
        return job.plan.request["kind"] == requests.MANAGED and exit_code in requests.RECOVERED
