"""The backend protocol: where a job runs. It is kept small; waiting and retrying are done once, in `ftsdk.jobs`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from ftsdk.contract import Reason
from ftsdk.contract.programs import Completion
from ftsdk.errors import UnsupportedError
from ftsdk.spec.program import other_model

if TYPE_CHECKING:
    from ftsdk.backends.options import Options
    from ftsdk.facts import Facts
    from ftsdk.facts.remote_model import BucketAccess
    from ftsdk.plan import Plan
    from ftsdk.plan.deployment import DeploymentPlan
    from ftsdk.runtime.storage.base import Store
    from ftsdk.sizing.price.market import Market
    from ftsdk.spec import JobSpec
    from ftsdk.storage.records import LogLine


class JobState(StrEnum):
    """State of a job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether the state is final unless a new attempt is submitted."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class ObservedState(NamedTuple):
    """A platform's status, translated to a job state."""

    state: JobState
    reason: str = ""
    """One of `contract.REASONS`, or empty."""
    message: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """A job's state at one poll."""

    name: str
    """The job's logical name (the last part of its URI)."""
    state: JobState
    reason: Reason = Reason.NONE
    """Why it ended without a model; `Reason.NONE`, which is false, while it runs or after a success."""
    message: str = ""
    """One sentence on how the job ended, with a hint on what to do."""
    attempt: int = 1
    created_at: float | None = None
    """Seconds since the epoch."""
    ended_at: float | None = None
    """Seconds since the epoch."""
    exit_code: int | None = None
    native: Mapping[str, object] = field(default_factory=dict)
    """The platform's own ids and statuses, e.g. `name`, `id` or `arn`, `status`, `console`."""

    @property
    def console_url(self) -> str | None:
        """The job's page in the platform's web console; None where there is none."""
        url = self.native.get("console")
        return str(url) if url else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend supports. `require` checks a spec against it, and the table in the docs is generated from it."""

    multi_node: bool = False
    """Training on several machines or containers: `resources.num_nodes`."""
    spot: bool = False
    """Interruptible capacity: `resources.spot`."""
    accelerators: bool = True
    """GPUs: `resources.accelerator`."""
    memory_limit: bool = False
    """A limit on main memory: `resources.memory_gb`."""
    secrets: bool = True
    """`secrets`: their values appear in no request, log or description of the job."""
    remote_output: bool = False
    """`output` may be (or must be) an address such as s3://."""
    remote_inputs: bool = False
    """`model` and `dataset` may be addresses such as s3://."""
    copies_models: bool = False
    """A `model` in a bucket is copied to this machine before the job, if `--copy` is given."""
    image: bool = False
    """The job runs in a container image."""
    recovers: bool = False
    """The platform restarts a preempted job itself, as the same attempt; `ftsdk watch` is not needed for that."""


class Backend(Protocol):
    """What a backend implements. Its methods do not wait for jobs, retry attempts, print or upload."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    options_model: ClassVar[type[Options]]
    scope_option: ClassVar[str | None]
    """Option that holds the SCOPE of `NAME://SCOPE/JOB`, e.g. `region`; None if job URIs have none from an option."""

    def __init__(self, options: Any = None) -> None:
        """`options` is an instance of `options_model`; None stands for one with all defaults."""

    @property
    def options(self) -> Options:
        """The options given to the constructor."""

    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The exact native request. Pure: reads no file, network, clock or environment."""

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> None:
        """Start the plan's attempt. The only call that creates anything.

        An attempt that another process has claimed is not started twice: the call returns without doing anything.
        The claim is `plan.claim()`, put if absent at `contract.claim_key(plan.attempt)` of the durable folder. The
        job runs with `plan.document` as passed here: a retry may have changed it since `plan` was made. The
        platform's own id, if it has one, is in `describe(...).native`.
        """

    def describe(self, job_id: str) -> JobInfo:
        """One poll. Raises JobNotFoundError if there is no such job."""

    def list(self) -> Iterator[JobInfo]:
        """Jobs that ftsdk started on this backend, newest first."""

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines from the start, or after the cursor, to now; with `follow`, until the job ends."""

    def cancel(self, job_id: str) -> None:
        """Request the job to stop and return at once. Does nothing to a job that has ended."""

    def artifacts(self, job_id: str) -> Store:
        """The job's durable folder: `model/`, `checkpoints/`, `logs/`. Downloads nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One prerequisite of a backend and whether it is met."""

    what: str
    ok: bool
    detail: str
    """The value or state that was detected."""
    remedy: str = ""
    """How to meet the prerequisite; empty if it is met."""


@runtime_checkable
class SupportsDoctor(Protocol):
    """Backends that can check their prerequisites, for `ftsdk doctor`."""

    def doctor(self) -> Iterator[Check]:
        """Check each prerequisite. Problems are reported in the checks; nothing is raised."""


@runtime_checkable
class SupportsOffers(Protocol):
    """Backends that know their machine types and prices, for `ftsdk plan --compare`."""

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """Machine types and prices, from tables on this machine. Raises UnsupportedError if it cannot run the spec."""


@runtime_checkable
class SupportsBuckets(Protocol):
    """Backends with buckets of their own region, which hold models of their jobs."""

    def bucket_access(self) -> BucketAccess:
        """How this machine reaches the region's buckets, by their scheme; empty without a region."""


def bucket_access(backend: Backend) -> BucketAccess | None:
    """How this machine reaches a backend's buckets; None where the environment decides."""
    return backend.bucket_access() if isinstance(backend, SupportsBuckets) else None


@runtime_checkable
class SupportsOnDemand(Protocol):
    """Backends with the capability `spot` that can retry a job on on-demand capacity."""

    def on_demand(self, plan: Plan) -> Plan:
        """The same plan without spot: `request` and `usd_per_hour` change, name and digest stay. Pure."""


@runtime_checkable
class SupportsActiveJobs(Protocol):
    """Backends that can say with one listing which of many jobs go on, so that they need not be polled one by one."""

    @property
    def listing_scope(self) -> Hashable:
        """Equal for two instances that list the same jobs, e.g. account and region."""

    def active_jobs(self) -> frozenset[str]:
        """Names of jobs whose newest attempt has not ended. One that goes on may be missing; it is polled by itself."""


@runtime_checkable
class SupportsSecretStore(Protocol):
    """Backends whose jobs read their secrets from the platform's secret store; `submit` sends no secret values."""

    def put_secret(self, name: str, value: str) -> str:
        """Store a secret, or a new value of an existing one; returns its address in the secret store."""


@runtime_checkable
class SupportsImagePush(Protocol):
    """Backends with an image registry of their own."""

    def push_image(self, tag: str, on_line: Callable[[str], None]) -> str:
        """Push a local image, creating the repository if necessary; returns its address in the registry."""


@runtime_checkable
class SupportsTerminal(Protocol):
    """Backends whose platform offers a terminal in a job's container."""

    def terminal(self, job_id: str) -> str:
        """Create a terminal on the first node; returns its address. Raises BackendError while no container runs."""


class DeploymentState(StrEnum):
    """State of a deployment."""

    STARTING = "STARTING"
    READY = "READY"
    FAILED = "FAILED"
    DELETING = "DELETING"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentInfo:
    """A deployment at one poll."""

    name: str
    state: DeploymentState
    digest: str = ""
    """Digest of its plan, as the platform keeps it; empty if it has none."""
    address: str = ""
    """Where requests go; empty until the platform says it."""
    message: str = ""
    """Why it failed."""


class Deployments(Protocol):
    """What a backend implements to put models behind an address. Its methods do not wait and do not upload."""

    def plan(self, spec: JobSpec, facts: Facts) -> DeploymentPlan:
        """The platform's own requests. Pure."""

    def create(self, plan: DeploymentPlan) -> None:
        """Create what is missing; what a refused request has left is removed again."""

    def describe(self, name: str) -> DeploymentInfo | None:
        """One poll; None if there is none of this name."""

    def logs(self, name: str) -> Iterator[str]:
        """Lines of its servers so far."""

    def delete(self, name: str) -> None:
        """Remove it and all that `create` made. Does nothing for a part that does not exist."""

    def ask(self, name: str, request: Mapping[str, object]) -> Completion:
        """The answer to a request of OpenAI's completions or chat completions. Raises BackendError without one."""


@runtime_checkable
class SupportsDeployments(Protocol):
    """Backends that can put a model behind an address, for `ftsdk deploy`."""

    def deployments(self) -> Deployments:
        """The deployments of this account, region or machine."""


@runtime_checkable
class SupportsNativeHandle(Protocol):
    """Backends whose vendor has an SDK with a class for a job."""

    def native(self, job_id: str) -> object:
        """The vendor SDK's object for the newest attempt. Raises NotInstalledError without the vendor's SDK."""


def _remote(spec: JobSpec, *, with_models: bool) -> str:
    """The first input in a bucket, or an empty string."""
    models = (spec.model, spec.method.reward_model or "", other_model(spec.program) or "") if with_models else ()
    addresses = (*models, *spec.dataset.train, *spec.dataset.eval)
    return next((address for address in addresses if address.startswith(("s3://", "oss://", "gs://"))), "")


def require(backend: str, capabilities: Capabilities, spec: JobSpec) -> None:
    """Raise UnsupportedError if the spec needs something that the backend does not support."""
    remote = _remote(spec, with_models=not capabilities.copies_models)
    requirements = {
        "multi_node": (spec.resources.num_nodes > 1, "resources.num_nodes > 1", "use one node with more accelerators"),
        "spot": (spec.resources.spot, "resources.spot", "leave spot out"),
        "accelerators": (spec.resources.accelerator is not None, "resources.accelerator", "leave accelerator out"),
        "memory_limit": (spec.resources.memory_gb is not None, "resources.memory_gb", "leave memory_gb out"),
        "secrets": (bool(spec.secrets), "secrets", "leave secrets out"),
        "remote_inputs": (bool(remote), f"model or dataset {remote!r}", "download it and give a path"),
        "remote_output": ("://" in (spec.output or ""), f"output {spec.output!r}", "give a folder"),
    }
    for capability, (required, what, instead) in requirements.items():
        if required and not getattr(capabilities, capability):
            raise UnsupportedError(
                f"The {backend} backend cannot do {what}: {instead}, or choose a backend that can "
                f"(`ftsdk backends` shows the table)."
            )
