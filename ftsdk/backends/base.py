"""The backend protocol: where a job runs. Narrow on purpose; `Job` does the waiting, once, for all backends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from ftsdk.errors import UnsupportedError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ftsdk.facts import Facts
    from ftsdk.plan import Plan
    from ftsdk.sizing.price.market import Market
    from ftsdk.spec import JobSpec
    from ftsdk.storage.records import LogLine
    from ftsdk.storage.store import Store


class JobState(StrEnum):
    """Where a job is in its life."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """True when nothing more will happen by itself."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Verdict(NamedTuple):
    """What a platform's answer means for a job."""

    state: JobState
    reason: str = ""
    """One of `contract.REASONS`, or empty."""
    message: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """What one poll of the platform said."""

    name: str
    """The job's logical name (the last part of its URI)."""
    state: JobState
    reason: str = ""
    """One of `contract.REASONS`, or empty."""
    message: str = ""
    """One sentence on how it ended, with a hint."""
    attempt: int = 1
    created_at: float | None = None
    """Seconds since the epoch."""
    ended_at: float | None = None
    """Seconds since the epoch."""
    exit_code: int | None = None
    native: dict[str, Any] = field(default_factory=dict)
    """The platform's own words, for people who know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do, as data: one check, one wording, one table in the docs."""

    multi_node: bool = False
    """Several machines, or containers, train together: `resources.num_nodes`."""
    spot: bool = False
    """Interruptible capacity: `resources.spot`."""
    accelerators: bool = True
    """GPUs: `resources.accelerator`."""
    memory_limit: bool = False
    """A limit on main memory: `resources.memory_gb`."""
    secrets: bool = True
    """Values of `secrets` reach the job unseen."""
    remote_output: bool = False
    """`output` may be (or must be) an address such as s3://."""
    remote_inputs: bool = False
    """`model` and `dataset` may be addresses such as s3://."""
    image: bool = False
    """The job runs in a container image."""
    recovers: bool = False
    """A preempted job is started again by the platform itself, as the same attempt: nobody has to watch."""


class Backend(Protocol):
    """What a backend implements. It never waits, retries, prints, sleeps or uploads."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    options_model: ClassVar[type[BaseModel]]

    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The exact native request. Pure: reads no file, network, clock or environment."""

    def submit(self, plan: Plan, secrets: Mapping[str, str]) -> str:
        """Start the plan's attempt; return the native id. The only call that creates anything.

        An attempt that was already claimed by somebody else is not started twice: its native id is returned.
        The claim is `plan.claim()`, put if absent at `contract.claim_key(plan.attempt)` of the durable folder. What
        the job runs with is `plan.document` as it is now: a retry may have changed it since `plan`.
        """

    def describe(self, job_id: str) -> JobInfo:
        """One poll. Raises JobNotFoundError if there is no such job."""

    def list(self) -> Iterator[JobInfo]:
        """Jobs that ftsdk started here, newest first."""

    def logs(self, job_id: str, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines from the start (or after the cursor) to now, or with `follow` until the job ends."""

    def cancel(self, job_id: str) -> None:
        """Ask the job to stop; returns at once. Does nothing to a job that has ended."""

    def artifacts(self, job_id: str) -> Store:
        """The job's durable folder: `model/`, `checkpoints/`, `logs/`. Downloads nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a backend needs, and whether it is there."""

    what: str
    ok: bool
    detail: str
    """What was found."""
    remedy: str = ""
    """What to do if it is not."""


@runtime_checkable
class Diagnoses(Protocol):
    """Backends that can tell what they need."""

    def doctor(self) -> Iterator[Check]:
        """What the backend needs and whether it is there; raises nothing."""


@runtime_checkable
class OffersMachines(Protocol):
    """Backends that know what they could rent, for `ftsdk plan --compare`."""

    def market(self, spec: JobSpec, facts: Facts) -> Market:
        """Machine types and prices, from tables on this machine. Raises UnsupportedError if it cannot run the spec."""


@runtime_checkable
class LeavesSpot(Protocol):
    """Backends with the capability `spot`: a retry may go on on capacity that is not taken back."""

    def on_demand(self, plan: Plan) -> Plan:
        """The same plan without spot: `request` and `usd_per_hour` change, name and digest stay. Pure."""


@runtime_checkable
class StoresSecrets(Protocol):
    """Backends whose jobs fetch their secrets themselves: values from this machine are stored first, and never sent."""

    def put_secret(self, name: str, value: str) -> str:
        """Store a secret, or a new value of it; returns where it is."""


@runtime_checkable
class PushesImages(Protocol):
    """Backends with an image registry of their own."""

    def push_image(self, tag: str, on_line: Callable[[str], None]) -> str:
        """Push a local image; returns its address in the registry, made if it is missing."""


@runtime_checkable
class OpensTerminals(Protocol):
    """Backends whose platform gives a terminal in a job's container."""

    def terminal(self, job_id: str) -> str:
        """Address of one on the first node, made by this call. Raises BackendError while no container runs."""


@runtime_checkable
class HasHandle(Protocol):
    """Backends whose vendor has an SDK with a class for a job."""

    def handle(self, job_id: str) -> Any:
        """The vendor's own object for the newest attempt. Raises NotInstalledError without the vendor's SDK."""


def _remote(spec: JobSpec) -> str:
    """The first input in a bucket, or an empty string."""
    addresses = (spec.model, *spec.dataset.train, *spec.dataset.eval)
    return next((address for address in addresses if address.startswith(("s3://", "oss://", "gs://"))), "")


def require(backend: str, capabilities: Capabilities, spec: JobSpec) -> None:
    """Refuse, in one wording, what the backend cannot do. Raises UnsupportedError."""
    asked = {
        "multi_node": (spec.resources.num_nodes > 1, "resources.num_nodes > 1", "use one node with more accelerators"),
        "spot": (spec.resources.spot, "resources.spot", "leave spot out"),
        "accelerators": (spec.resources.accelerator is not None, "resources.accelerator", "leave accelerator out"),
        "memory_limit": (spec.resources.memory_gb is not None, "resources.memory_gb", "leave memory_gb out"),
        "secrets": (bool(spec.secrets), "secrets", "leave secrets out"),
        "remote_inputs": (bool(remote := _remote(spec)), f"model or dataset {remote!r}", "download it and give a path"),
        "remote_output": ("://" in (spec.output or ""), f"output {spec.output!r}", "give a folder"),
    }
    for capability, (wanted, what, instead) in asked.items():
        if wanted and not getattr(capabilities, capability):
            raise UnsupportedError(
                f"The {backend} backend cannot do {what}: {instead}, or choose a backend that can "
                f"(`ftsdk backends` shows the table)."
            )
