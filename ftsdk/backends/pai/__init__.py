"""The pai backend: a DLC job (PyTorchJob) of Alibaba Cloud's PAI, in any image that holds the trainer.

It calls the DLC API by its generated client: PAI's own Python SDK submits another API and can't be installed beside
current numpy and protobuf.

More than fifteen files: jobs, deployments, registry and secrets are services of their own.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from ftsdk import contract
from ftsdk.backends import image_contents, shared
from ftsdk.backends.base import Capabilities, Check, Deployments, JobInfo, JobState, require
from ftsdk.backends.options import Options
from ftsdk.backends.pai import addresses, drivers, jobs, limits, machines, registry, roles, secret_store
from ftsdk.backends.pai import request as requests
from ftsdk.backends.pai.jobs import DlcAttempt
from ftsdk.backends.pai.log_lines import PaiLogReader
from ftsdk.backends.pai.options import PaiOptions
from ftsdk.backends.pai.service import AlibabaServices
from ftsdk.backends.pai.shapes import CreateJob, DlcWorker
from ftsdk.backends.shared import RecordedEnd
from ftsdk.errors import BackendError, JobNotFoundError, UnavailableError
from ftsdk.facts import Facts
from ftsdk.facts.remote_model import BucketAccess
from ftsdk.plan import Plan, build
from ftsdk.runtime.storage.base import Store
from ftsdk.sizing.catalogue import instance_of, instances_of
from ftsdk.sizing.price.market import Market
from ftsdk.sizing.price.prices import known_prices
from ftsdk.spec import JobSpec
from ftsdk.storage import records
from ftsdk.storage.objects import ObjectStore
from ftsdk.storage.records import LogLine
from ftsdk.storage.store import open_store

CREATING_S: Final = 120.0
"""Seconds that a claimed attempt counts as being created; then another process may create it."""


class Pai:
    """Jobs as DLC jobs, `NAME-a1`, `NAME-a2` …; their folder lies in OSS."""

    name: ClassVar[str] = "pai"
    capabilities: ClassVar[Capabilities] = Capabilities(
        multi_node=True, spot=True, secrets=True, remote_output=True, remote_inputs=True, image=True
    )
    options_model: ClassVar[type[Options]] = PaiOptions
    scope_option: ClassVar[str | None] = "region"

    def __init__(self, options: PaiOptions | None = None) -> None:
        self.options = options or PaiOptions()
        self._services = AlibabaServices(self.options)
        self._ids: dict[str, str] = {}
        """Job -> id of the newest known attempt."""
        self._expected: dict[str, tuple[int, float]] = {}
        """Job -> attempt that another process is creating, and when that was noticed."""
        self._ended: dict[str, RecordedEnd] = {}
        """Id -> the records of its end, which no longer change."""

    # --- plan and submit ---------------------------------------------------------------------------------------------
    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The body of CreateJob, and the uploads before it."""
        require(self.name, self.capabilities, spec)
        facts = replace(
            facts, machine=replace(facts.machine, accelerators=())
        )  # this machine's accelerators do not matter there
        context = self._context(spec, facts)
        draft = build.draft(
            context.spec,
            facts,
            digest=context.digest,
            backend=self.name,
            layout=requests.layout(context),
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=self.options.grace_s - min(requests.EXIT_MARGIN_S, self.options.grace_s / 2),
            restarts=True,
            storage=addresses.job_storage(self.options),
        )
        image_contents.refuse_missing(draft.rendered.config, self.options.image, facts.platforms)
        request = requests.request(context)
        unused = shared.unused_accelerators(instance_of(context.ecs_spec or ""), spec.resources)
        return build.plan_from(
            draft,
            context.spec,
            backend=self.name,
            scope=context.region,
            request=request,
            options=self.options.model_dump(mode="json"),
            image=self.options.image,
            uploads=tuple(upload for source in requests.sources(context) for upload in source.uploads),
            copies=tuple(requests.copies(context)),
            storage=addresses.storage(self.options),
            warnings=(
                *unused,
                *limits.warnings(request, context.region),
                *drivers.warnings(context.known, request),
                *roles.warnings(context.known, request),
            ),
            machine_usd_per_hour=self._price(context.ecs_spec, facts, spot=spec.resources.spot),
        )

    def on_demand(self, plan: Plan) -> Plan:
        """The same plan on on-demand machines."""
        ecs_spec = requests.request_of(plan)["JobSpecs"][0].get("EcsSpec", "")
        return requests.on_demand(plan, machines.usd_per_hour(ecs_spec, self._services.region, {}, spot=False))

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """Machine types with accelerators, and their prices. Pure."""
        require(self.name, self.capabilities, spec)
        prices = known_prices(facts.prices)
        return Market(machines=instances_of(machines.PROVIDER), region=self.options.region, prices=prices)

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Create the DLC job, once: the attempt is claimed in OSS, and looked up by its name before a repeat.

        `secrets` are not sent: the job reads them from the secret store by name. Raises AuthError if one is not stored,
        and if the job's role cannot reach the bucket.
        """
        secret_store.check(self._services, plan)
        roles.check(self._services, requests.request_of(plan))
        request = _with_registry_password(requests.request_of(plan))
        store = ObjectStore(requests.durable_of(request), plan.storage)
        key = contract.claim_key(plan.attempt)
        if not store.put_if_absent(key, plan.claim()) and self._is_taken(plan, store):
            return
        try:
            self._ids[plan.name] = jobs.create(self._services, request)
        except UnavailableError:
            raise  # the job may have been created: the claim stays
        except Exception:
            store.delete(key)
            raise

    # --- query ----------------------------------------------------------------------------------------------
    def describe(self, job_id: str) -> JobInfo:
        """State of the newest attempt, from DLC; after its end, from the supervisor's records as well."""
        try:
            native = self._newest(job_id)
        except JobNotFoundError:
            attempt, seen_at = self._expected.get(job_id, (0, 0.0))
            if time.time() - seen_at > CREATING_S:
                raise
            waits = "Another process is submitting it."
            return JobInfo(name=job_id, state=JobState.PENDING, message=waits, attempt=attempt)
        if not native.has_ended:
            return jobs.info(self._services, job_id, native, None, cancelled=False)
        if native.id not in self._ended:
            store = self._store(native)
            self._ended[native.id] = shared.recorded_end(store, native.attempt, native.num_nodes)
        outcome, cancelled = self._ended[native.id]
        return jobs.info(self._services, job_id, native, outcome, cancelled=cancelled)

    def list(self) -> Iterator[JobInfo]:
        """Every ftsdk job in the workspace; a listing has no reasons, `describe` has."""
        return jobs.each(self._services) if self.options.region and self.options.workspace_id else iter(())

    @property
    def listing_scope(self) -> Hashable:
        """Region, workspace and address."""
        return self.options.region, self.options.workspace_id, self.options.endpoint

    def active_jobs(self) -> frozenset[str]:
        """Names of the jobs with an attempt that runs or is queued, from two listings."""
        return jobs.active(self._services)

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines of all attempts, from the segments in OSS and, while it runs, from the pods."""
        return PaiLogReader(self._services, self.artifacts(job_id), after).lines(
            lambda: self._newest(job_id), follow=follow
        )

    def cancel(self, job_id: str) -> None:
        """Write the cancel note, then send SIGTERM to the supervisors, which save a checkpoint."""
        native = self._newest(job_id)
        if native.has_ended:
            return
        shared.write_cancel_note(self._store(native), native.attempt)
        jobs.stop(self._services, native)  # where DLC can't stop it yet, the supervisor reads the note when it is up

    def artifacts(self, job_id: str) -> Store:
        """The job's folder in OSS."""
        return self._store(self._newest(job_id))

    def terminal(self, job_id: str) -> str:
        """Address (wss://) of a terminal in the first node's container: for one use within 30 seconds.

        https://www.alibabacloud.com/help/en/pai/developer-reference/api-pai-dlc-2020-12-03-getwebterminal says what
        goes over it. Raises BackendError while no container runs.
        """
        native = self._newest(job_id)
        if native.response.get("Status") != "Running" or not native.pods:
            status = native.response.get("Status")
            raise BackendError(f"Job {job_id} is {status} in PAI: a terminal needs a running one.")
        pod = native.pods[0]
        arguments = {"PodUid": pod.get("PodUid"), "IsShared": "true"}  # the client would write a bool as True
        response = self._services.call("get_web_terminal", native.id, pod["PodId"], **arguments)
        return str(response["WebTerminalUrl"])

    # --- account and images ---------------------------------------------------------------------------------------
    def doctor(self) -> Iterator[Check]:
        """Credentials, the workspace, the bucket, the image, the machine type."""
        from ftsdk.backends.pai import doctor

        return doctor.checks(self.options, self._services)

    def push_image(self, tag: str, on_line: Callable[[str], None]) -> str:
        """Push a local image to where the option `image` says."""
        return registry.push(self._services, self.options, tag, on_line)

    def put_secret(self, name: str, value: str) -> str:
        """Store a secret in KMS; returns its name there."""
        return secret_store.put(self._services, self.options, name, value)

    def bucket_access(self) -> BucketAccess:
        """How this machine reaches the region's buckets."""
        return {"oss": addresses.storage(self.options)} if self.options.region else {}

    def deployments(self) -> Deployments:
        """EAS services of this account and region."""
        from ftsdk.backends.pai.deployments import PaiDeployments

        return PaiDeployments(self._services, self.capabilities, self._context)

    # --- internals ------------------------------------------------------------------------------------
    def _newest(self, job_id: str) -> DlcAttempt:
        """The newest attempt. Raises JobNotFoundError if there is none."""
        known = self._ids.get(job_id)
        last_seen = jobs.get(self._services, known) if known else None
        native = shared.newest_attempt(last_seen, lambda: jobs.newest(self._services, job_id))
        self._ids[job_id] = native.id
        return native

    def _store(self, native: DlcAttempt) -> Store:
        return open_store(native.durable, addresses.storage(self.options))

    def _is_taken(self, plan: Plan, store: Store) -> bool:
        """Whether another process's claim is valid: its job exists or is being created."""
        existing = jobs.named(self._services, plan.native_name)
        if existing:
            self._ids[plan.name] = existing[0].id
            return True
        claim = records.read_json(store, contract.claim_key(plan.attempt))
        if claim is None or time.time() - claim["time"] > CREATING_S:
            return False  # the process that claimed it was killed before creating it
        self._expected[plan.name] = plan.attempt, time.time()
        return True

    def _price(self, ecs_spec: str | None, facts: Facts, *, spot: bool) -> float | None:
        return machines.usd_per_hour(ecs_spec, self._services.region, facts.prices, spot=spot) if ecs_spec else None

    def _context(self, spec: JobSpec, facts: Facts) -> requests.PaiContext:
        options = self.options
        ecs_spec = None if options.resource_id else options.ecs_spec or machines.type_for(spec.resources)
        digest = build.digest_of(spec, facts)
        name, root = build.job_name(spec, digest), addresses.root(options)
        instance = instance_of(ecs_spec) if ecs_spec else None
        return requests.PaiContext(
            spec=shared.with_accelerator(spec, instance.card if instance else spec.resources.accelerator),
            facts=facts,
            options=options,
            name=name,
            digest=digest,
            region=addresses.checked_region(options.region),
            root=root,
            durable=shared.durable_address(spec.output, root, name, scheme="oss://", service="PAI", bucket="OSS"),
            ecs_spec=ecs_spec,
        )


def _with_registry_password(request: CreateJob) -> CreateJob:
    """The request as it is sent: a plan holds only the name of the variable with the registry's password."""
    return {**request, "JobSpecs": [_with_auth(worker) for worker in request["JobSpecs"]]}


def _with_auth(worker: DlcWorker) -> DlcWorker:
    if "ImageConfig" not in worker:
        return worker
    login = shared.registry_login("pai", worker["ImageConfig"]["Auth"].removeprefix("$"))
    return {**worker, "ImageConfig": {"Auth": base64.b64encode(login.encode()).decode()}}
