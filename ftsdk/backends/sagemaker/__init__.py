"""The sagemaker backend: a managed training job of Amazon SageMaker, in any image that holds the trainer.

It calls boto3 directly: the vendor's own SDK can neither name a job nor plan one without uploading.

More than fifteen files: a training job touches eight services of AWS, and each has its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar, cast

from ftsdk import contract
from ftsdk.backends import image_contents, shared
from ftsdk.backends.base import Capabilities, Check, Deployments, JobInfo, require
from ftsdk.backends.options import Options
from ftsdk.backends.sagemaker import addresses, isolation, jobs, log_streams, machines, secret_store
from ftsdk.backends.sagemaker import request as requests
from ftsdk.backends.sagemaker.jobs import TrainingAttempt
from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.backends.sagemaker.service import DOCTOR_TIMEOUTS, AwsRefusedError, AwsServices
from ftsdk.backends.sagemaker.shapes import CreateTrainingJob
from ftsdk.backends.shared import RecordedEnd
from ftsdk.errors import BackendError, NotInstalledError, SpecError
from ftsdk.facts import Facts
from ftsdk.facts.remote_model import BucketAccess
from ftsdk.plan import Plan, build
from ftsdk.runtime.storage.base import Store
from ftsdk.sizing.catalogue import instance_of, instances_of
from ftsdk.sizing.price.market import Market
from ftsdk.sizing.price.prices import known_prices
from ftsdk.spec import JobSpec
from ftsdk.storage import records
from ftsdk.storage.records import LogLine
from ftsdk.storage.store import open_store


class SageMaker:
    """Jobs as SageMaker training jobs, `NAME-a1`, `NAME-a2` …; their folder lies in S3."""

    name: ClassVar[str] = "sagemaker"
    capabilities: ClassVar[Capabilities] = Capabilities(
        multi_node=True, spot=True, secrets=True, remote_output=True, remote_inputs=True, image=True, recovers=True
    )
    options_model: ClassVar[type[Options]] = SageMakerOptions
    scope_option: ClassVar[str | None] = "region"

    def __init__(self, options: SageMakerOptions | None = None) -> None:
        self.options = options or SageMakerOptions()
        self._services = AwsServices(self.options)
        self._attempts: dict[str, int] = {}
        """Job -> the newest known attempt."""
        self._ended: dict[str, RecordedEnd] = {}
        """Native name -> the records of its end, which no longer change."""

    # --- plan and submit ---------------------------------------------------------------------------------------------
    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The arguments of `create_training_job`, and the uploads before it."""
        require(self.name, self.capabilities, spec)
        isolation.refuse(spec, facts, self.options)
        facts = replace(
            facts, machine=replace(facts.machine, accelerators=())
        )  # this machine's accelerators do not matter there
        context = self._context(spec, facts)
        draft = build.draft(
            context.spec,
            facts,
            digest=context.digest,
            backend=self.name,
            layout=requests.layout(
                facts, context.root, isolated=self.options.network_isolation, durable=context.durable
            ),
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=requests.GRACE_S,
            restarts=True,
            after_save="park" if spec.resources.spot else "exit",  # an exit after a spot notice would be a failure
            storage=addresses.storage(self.options),
            network_gb_s=machines.network_gb_s(context.types, spec.resources, efa=self.options.efa),
        )
        mlflow_uri = spec.tracking.mlflow.uri if spec.tracking.mlflow else None
        image_contents.refuse_missing(draft.rendered.config, context.image, facts.platforms, mlflow_uri)
        channels = (*requests.own_channels(context), *requests.inputs_of(facts, context.root))
        return build.plan_from(
            draft,
            context.spec,
            backend=self.name,
            scope=context.region,
            request=requests.request(context),
            options=self.options.model_dump(mode="json"),
            image=context.image,
            uploads=tuple(upload for channel in channels for upload in channel.uploads),
            copies=tuple(requests.copies_of(facts, context.root)),
            storage=addresses.storage(self.options),
            warnings=machines.warnings(context.types, spec.resources, self.options),
            machine_usd_per_hour=machines.usd_per_hour(context.types[0], context.region, spec.resources, facts.prices),
        )

    def on_demand(self, plan: Plan) -> Plan:
        """The same plan on on-demand machines."""
        return requests.on_demand(plan)

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """Training instances with accelerators. Pure."""
        require(self.name, self.capabilities, spec)
        return Market(machines=instances_of("sagemaker"), region=self.options.region, prices=known_prices(facts.prices))

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Create the training job; the service lets a name exist once, so nothing is started twice.

        `secrets` are not sent: the job reads them from the secret store by name. Raises AuthError if one is not stored.
        """
        secret_store.check(self._services, plan)
        store = open_store(requests.durable_of(requests.request_of(plan)), plan.storage)
        if (
            self.options.network_isolation
        ):  # the job knows its folder by another name, so the upload did not put it there
            store.put(contract.JOB_FILE, json.dumps(plan.document, indent=1).encode())
        store.put_if_absent(contract.claim_key(plan.attempt), plan.claim())
        try:
            self._services.call("sagemaker", "create_training_job", **self._arguments(plan))
        except AwsRefusedError as problem:
            if problem.code != "ResourceInUse":
                raise
            self._check_same(plan)
        self._attempts[plan.name] = plan.attempt

    # --- query ----------------------------------------------------------------------------------------------
    def describe(self, job_id: str) -> JobInfo:
        """State of the newest attempt, from the service; after its end, from the supervisor's records as well."""
        native = self._newest(job_id)
        if not native.has_ended:
            return jobs.info(job_id, native, None, cancelled=False)
        if native.name not in self._ended:
            store = self._store(native)
            self._ended[native.name] = shared.recorded_end(store, native.attempt, native.num_nodes)
        outcome, cancelled = self._ended[native.name]
        return jobs.info(job_id, native, outcome, cancelled=cancelled)

    def list(self) -> Iterator[JobInfo]:
        """Every ftsdk job in this account and region; a listing has no reasons, `describe` has."""
        return jobs.each(self._services) if self.options.region else iter(())

    @property
    def listing_scope(self) -> Hashable:
        """Region and address; the account is that of this machine's credentials."""
        return self.options.region, self.options.endpoint_url

    def active_jobs(self) -> frozenset[str]:
        """Names of the jobs with an attempt in progress, from the listing."""
        return jobs.active(self._services)

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines of all attempts from CloudWatch."""
        seen = records.parse_cursor(after)
        tail = log_streams.CloudWatchReader(self._services, seen)
        numbers = jobs.attempts(self._services, job_id)
        for number in numbers:
            native = jobs.describe(self._services, contract.native_name(job_id, number))
            if native is not None:
                yield from tail.attempt(
                    native.name,
                    number,
                    num_nodes=native.num_nodes,
                    follow=follow and number == numbers[-1],
                    ended=partial(self._ended_at, native.name),
                )

    def cancel(self, job_id: str) -> None:
        """SIGTERM to the supervisors, which have the platform's 120 seconds for saving."""
        native = self._newest(job_id)
        if native.response["TrainingJobStatus"] != "InProgress":
            return
        shared.write_cancel_note(self._store(native), native.attempt)
        try:
            self._services.call("sagemaker", "stop_training_job", TrainingJobName=native.name)
        except AwsRefusedError:
            if self._newest(job_id).response["TrainingJobStatus"] == "InProgress":
                raise  # else it ended, or somebody was quicker

    def artifacts(self, job_id: str) -> Store:
        """The job's folder in S3."""
        return self._store(self._newest(job_id))

    # --- account and images ---------------------------------------------------------------------------------------
    def doctor(self) -> Iterator[Check]:
        """Credentials, the role and what it may do, the bucket, the image, the quota."""
        from ftsdk.backends.sagemaker import doctor

        return doctor.checks(self.options, AwsServices(self.options, DOCTOR_TIMEOUTS))

    def put_secret(self, name: str, value: str) -> str:
        """Store a secret in Secrets Manager; returns its ARN."""
        return secret_store.put(self._services, self.options.secrets_prefix, name, value)

    def push_image(self, tag: str, on_line: Callable[[str], None]) -> str:
        """Push a local image to this account's ECR."""
        from ftsdk.backends.sagemaker import registry

        return registry.push(self._services, tag, on_line)

    def bucket_access(self) -> BucketAccess:
        """How this machine reaches the region's buckets."""
        return {"s3": addresses.storage(self.options)} if self.options.region else {}

    def deployments(self) -> Deployments:
        """Endpoints of this account and region."""
        from ftsdk.backends.sagemaker.deployments import SageMakerDeployments

        return SageMakerDeployments(self._services, self.capabilities, self._context)

    def native(self, job_id: str) -> object:
        """The SageMaker SDK's TrainingJob. Raises NotInstalledError without `ftsdk[sagemaker-sdk]`."""
        native = self._newest(job_id)
        try:
            from sagemaker.core.resources import TrainingJob
        except ImportError:
            raise NotInstalledError("This needs SageMaker's own SDK: pip install 'ftsdk[sagemaker-sdk]'.") from None
        return TrainingJob.get(
            training_job_name=native.name, session=self._services.session(), region=self._services.region
        )

    # --- internals ------------------------------------------------------------------------------------
    def _newest(self, job_id: str) -> TrainingAttempt:
        """The newest attempt. Raises JobNotFoundError if there is none."""
        known = self._attempts.get(job_id)
        last_seen = jobs.describe(self._services, contract.native_name(job_id, known)) if known else None
        native = shared.newest_attempt(last_seen, lambda: jobs.newest(self._services, job_id))
        self._attempts[job_id] = native.attempt
        return native

    def _ended_at(self, native_name: str) -> float | None:
        native = jobs.describe(self._services, native_name)
        if native is None:
            return 0.0
        return jobs.info("", native, None, cancelled=False).ended_at

    def _store(self, native: TrainingAttempt) -> Store:
        return open_store(native.durable, addresses.storage(self.options))

    def _arguments(self, plan: Plan) -> CreateTrainingJob:
        """The request; on spot, after an attempt that found its type sold out, with the next of the types."""
        types, request = cast(list[str], plan.options["instance_type"]), requests.request_of(plan)
        if plan.attempt == 1 or len(types) < 2 or not plan.spec["resources"]["spot"]:
            return request
        before = jobs.describe(self._services, contract.native_name(plan.name, plan.attempt - 1))
        if before is None or "CapacityError" not in before.response.get("FailureReason", ""):
            return request
        return requests.on_next_type(request, types, before.instance_type)

    def _check_same(self, plan: Plan) -> None:
        """The name is taken: by this very attempt, or by something else. Raises BackendError."""
        native = jobs.describe(self._services, plan.native_name)
        if native and native.response.get("Environment", {}).get(requests.ENV_DIGEST) != plan.digest:
            raise BackendError(
                f"There is a training job {plan.native_name} in {self._services.region} already, of another spec: "
                f"give the spec another name."
            )

    def _context(self, spec: JobSpec, facts: Facts) -> requests.SageMakerContext:
        options = self.options
        region = addresses.checked_region(options.region)
        if options.role is None:
            raise SpecError(
                "The sagemaker backend needs the option 'role', the ARN of an IAM role: give it by -o role=ARN, "
                "FTSDK_SAGEMAKER_ROLE, or [sagemaker] in ftsdk.toml; `ftsdk doctor -b sagemaker` prints its policy."
            )
        account = addresses.account_of(options.role, region)
        types = options.instance_type or (machines.instance_for(spec.resources),)
        machines.refuse_volta(types, options)
        digest = build.digest_of(spec, facts)
        name = build.job_name(spec, digest)
        root = addresses.root(options.bucket, options.prefix, account=account, region=region)
        instance = instance_of(types[0])
        return requests.SageMakerContext(
            spec=shared.with_accelerator(spec, instance.card if instance else None),
            facts=facts,
            options=options,
            name=name,
            digest=digest,
            region=region,
            account=account,
            root=root,
            durable=shared.durable_address(spec.output, root, name, scheme="s3://", service="SageMaker", bucket="S3"),
            image=options.image
            or addresses.default_image(types[0], account=account, region=region, cuda=options.torch),
            types=types,
        )
