"""Spec and facts -> the exact CreateJob request (a PyTorchJob) and what has to be in OSS before it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, cast

from ftsdk import contract
from ftsdk.backends import passthrough
from ftsdk.backends.pai import addresses, drivers, limits
from ftsdk.backends.pai.shapes import (
    CreateJob,
    CredentialConfig,
    CredentialRole,
    DataSource,
    DlcJob,
    DlcSettings,
    DlcWorker,
    ElasticSpotSpec,
    SpotSpec,
    UserVpc,
)
from ftsdk.backends.shared import content_address, file_name, without_spot
from ftsdk.engines.base import Layout
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import platforms
from ftsdk.facts.platforms import KnownPlatform
from ftsdk.plan import Copy, Plan, Upload, build
from ftsdk.storage import copying
from ftsdk.storage.fingerprints import Fingerprint

if TYPE_CHECKING:
    from ftsdk.backends.pai.options import PaiOptions
    from ftsdk.facts import Facts
    from ftsdk.spec import JobSpec

MOUNTS: Final = "/mnt/ftsdk"
"""Read-only mounts: the job document, the runtime, the inputs. Results never go through a mount: FUSE over OSS has no
random writes and no rename (safetensors issues 787, 792, 842)."""
SCRATCH: Final = "/tmp/ftsdk"
HUB_CACHE: Final = "/tmp/ftsdk-hub"
ELSEWHERE: Final = ("s3://", "gs://")
"""Buckets of other clouds: a model there is copied first."""
EXIT_MARGIN_S: Final = 20
"""Of the platform's time between SIGTERM and SIGKILL, seconds that the supervisor needs after the trainer has saved."""
STOP_MARGIN_MINUTES: Final = 15
"""The supervisor enforces the time limit and saves a checkpoint; the platform's own limit is a later fallback."""
ENV_DIGEST: Final = "FTSDK_DIGEST"
ENV_DURABLE: Final = "FTSDK_DURABLE"
"""They record the job's digest and folder in its description."""
OUR_TAG: Final = "ftsdk"
RESTARTS: Final = "--enable-job-restart True --max-num-of-job-restart 10 --job-execution-mode Sync"
"""Arguments of AIMaster (PAI user guide, "AIMaster: elastic fault tolerance engine")."""
LINGJUN: Final = re.compile(r"ml\.gu\d+[a-z]f\.")
"""Machine types of Lingjun, e.g. `ml.gu7xf.8xlarge-gu108` (examples in the clients of PAI's APIs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaiContext:
    """The inputs of the request."""

    spec: JobSpec
    facts: Facts
    options: PaiOptions
    name: str
    digest: str
    region: str
    root: str
    """`oss://bucket/prefix`: staged inputs, the runtime, and the jobs."""
    durable: str
    """The job's own folder in OSS."""
    ecs_spec: str | None
    """None in a quota."""

    @property
    def known(self) -> KnownPlatform:
        """What `ftsdk doctor` has learnt of the account in this region."""
        return platforms.of(self.facts.platforms, "pai", self.region)

    @property
    def native_name(self) -> str:
        """Native name of the first attempt; `Plan.for_attempt` replaces it."""
        return contract.native_name(self.name, 1)


@dataclass(frozen=True, slots=True)
class MountedFolder:
    """A folder in OSS that is mounted at `path`."""

    address: str
    path: str
    files: tuple[tuple[str, Fingerprint], ...] = ()
    """(name in the folder, local file) for what has to be uploaded."""

    @property
    def uploads(self) -> Iterator[Upload]:
        """The uploads of the files."""
        for name, file in self.files:
            target = f"{self.address}/{name}"
            yield Upload(source=file.path, target=target, bytes=file.bytes, sha256=file.sha256, is_content_address=True)


# --- inputs ------------------------------------------------------------------------------------------------
def layout(context: PaiContext) -> Layout:
    """Paths inside the job."""
    inputs = {**build.staged(context.facts, MOUNTS), **_remote(context.facts)}
    return Layout(durable=context.durable, scratch=SCRATCH, inputs=inputs)


def sources(context: PaiContext) -> list[MountedFolder]:
    """Everything that the job reads from OSS."""
    runtime = context.facts.runtime
    file = Fingerprint(runtime.path, runtime.bytes, runtime.sha256)
    return [
        MountedFolder(context.durable, f"{MOUNTS}/job"),
        MountedFolder(
            f"{context.root}/runtime/{runtime.sha256[:16]}", f"{MOUNTS}/runtime", ((file_name(runtime.path), file),)
        ),
        *_folders(context),
        *_remote_sources(context.facts, context.root),
    ]


def _folders(context: PaiContext) -> Iterator[MountedFolder]:
    """Local inputs by the folder that they are mounted in, whose address is the digest of what is in it."""
    inside = Layout(durable="", scratch="", inputs=build.staged(context.facts, MOUNTS)).inside
    groups: dict[str, list[tuple[str, Fingerprint]]] = {}
    for file in context.facts.files:
        group, _, rest = inside(file.path).removeprefix(f"{MOUNTS}/").partition("/")
        groups.setdefault(group, []).append((rest, file))
    for group, files in groups.items():
        yield MountedFolder(f"{context.root}/inputs/{content_address(files)}", f"{MOUNTS}/{group}", tuple(files))


def _remote(facts: Facts) -> dict[str, str]:
    """Addresses in buckets -> paths inside. A folder is mounted, so a file lies below the mount of its folder."""
    paths = {}
    for number, address in enumerate(facts.remote_models):
        paths[address] = f"{MOUNTS}/remote-model-{number}"
    for number, source in enumerate((*facts.train, *facts.eval)):
        if source.address.startswith(ELSEWHERE):
            raise UnsupportedError(f"dataset {source.address}: PAI reads from OSS; copy the file there first.")
        if source.address.startswith("oss://"):
            paths[source.address] = f"{MOUNTS}/remote-data-{number}/{PurePosixPath(source.address).name}"
    return paths


def _remote_sources(facts: Facts, root: str) -> Iterator[MountedFolder]:
    for address, path in _remote(facts).items():
        if address.startswith(ELSEWHERE):
            yield MountedFolder(copying.copy_of(address, root, None).target.rstrip("/"), path)
        elif path.startswith(f"{MOUNTS}/remote-data"):
            yield MountedFolder(address.rpartition("/")[0], path.rpartition("/")[0])
        else:
            yield MountedFolder(address.rstrip("/"), path)


def copies(context: PaiContext) -> Iterator[Copy]:
    """Copies of models in another cloud's bucket."""
    for address, size in context.facts.remote_models.items():
        if address.startswith(ELSEWHERE):
            yield copying.copy_of(address, context.root, size)


# --- the request -------------------------------------------------------------------------------------------
def request(context: PaiContext) -> CreateJob:
    """The body of CreateJob. Raises SpecError naming every limit that is passed."""
    options, spec = context.options, context.spec
    minutes = ceil(spec.timeout_hours * 60) + STOP_MARGIN_MINUTES if spec.timeout_hours else None
    body: CreateJob = {
        "DisplayName": context.native_name,
        "JobType": "PyTorchJob",
        "WorkspaceId": addresses.needed(options.workspace_id, "workspace_id", "the number of a PAI workspace"),
        "JobSpecs": [_worker(context)],
        "UserCommand": f"exec python {MOUNTS}/runtime/{file_name(context.facts.runtime.path)} supervise",
        "Envs": _environment(context),
        "DataSources": [*(_mount(source, context.region) for source in sources(context)), *_mounts(options)],
        "CredentialConfig": _credentials(options.role),
        "Priority": options.priority,
        "Settings": _settings(context),
    }
    if options.resource_id:
        body["ResourceId"] = options.resource_id
    if vpc := _vpc(options):
        body["UserVpc"] = vpc
    if minutes:
        body["JobMaxRunningTimeMinutes"] = minutes
    known = passthrough.fields_of(__package__)
    body = passthrough.merged(body, options.request, known=known, service="CreateJob")
    if problems := list(limits.problems(body)):
        raise SpecError(f"PAI would refuse this job: {'; '.join(problems)}.")
    return body


def durable_of(body: CreateJob | DlcJob) -> str:
    """Address of the job's folder, from a request or a description."""
    return str(body.get("Envs", {}).get(ENV_DURABLE, ""))


def request_of(plan: Plan) -> CreateJob:
    """The request of a plan of this backend."""
    return cast("CreateJob", plan.request)


def on_demand(plan: Plan, usd_per_hour: float | None) -> Plan:
    """Convert a plan for spot machines to on-demand machines. Pure."""
    body = request_of(plan)
    workers = [worker.copy() for worker in body["JobSpecs"]]
    for worker in workers:
        worker.pop("SpotSpec", None)
        worker.pop("ElasticSpotSpecs", None)
    price = plan.price_usd_per_hour or usd_per_hour
    nodes = plan.document["num_nodes"]
    return replace(
        plan,
        request={**body, "JobSpecs": workers},
        spec=without_spot(plan),
        usd_per_hour=price * nodes if price is not None else None,
    )


def _worker(context: PaiContext) -> DlcWorker:
    options, disk_gb = context.options, context.spec.resources.disk_gb
    worker: DlcWorker = {
        "Type": "Worker",  # the first one is the master
        "Image": addresses.needed(options.image, "image", "an image that holds the trainer and a `python`"),
        "PodCount": context.spec.resources.num_nodes,
        "RestartPolicy": "Never",  # the supervisor starts a crashed trainer again itself
    }
    if options.image_auth:
        worker["ImageConfig"] = {"Auth": f"${options.image_auth}"}
    if context.ecs_spec:
        worker["EcsSpec"] = context.ecs_spec
    else:
        worker["ResourceConfig"] = _share(context)
    if context.spec.resources.spot:
        worker["SpotSpec"] = _spot(options)
    if options.spot_types:
        worker["ElasticSpotSpecs"] = [_elastic(name, options) for name in options.spot_types]
    if disk_gb:
        worker["SystemDisk"] = {"Size": disk_gb}
    return worker


def _share(context: PaiContext) -> dict[str, str]:
    """A node's share of a quota."""
    options, resources = context.options, context.spec.resources
    uses_gpus = resources.accelerator is not None or options.gpu_type is not None
    given = {
        "CPU": options.cpu,
        "Memory": f"{options.memory_gb}Gi" if options.memory_gb else None,
        "GPU": resources.accelerators_per_node if uses_gpus else None,
        "GPUType": options.gpu_type,
        "SharedMemory": f"{options.shared_memory_gb}Gi" if options.shared_memory_gb else None,
    }
    return {key: str(value) for key, value in given.items() if value is not None}


def _spot(options: PaiOptions) -> SpotSpec:
    spot: SpotSpec = {"SpotStrategy": "SpotWithPriceLimit"}
    if options.spot_discount_limit:
        spot["SpotDiscountLimit"] = options.spot_discount_limit
    if options.spot_price_limit:
        spot["SpotPriceLimit"] = options.spot_price_limit
    return spot


def _elastic(name: str, options: PaiOptions) -> ElasticSpotSpec:
    """One more machine type for a spot job. Its limit is a price an hour, that of SpotSpec one a minute."""
    if options.spot_price_limit:
        limit = round(options.spot_price_limit * 60, 4)
        return {"InstanceType": name, "SpotStrategy": "LowestPrice", "SpotPriceLimit": limit}
    return {"InstanceType": name, "SpotStrategy": "LowestPrice"}


def _mount(source: MountedFolder, region: str) -> DataSource:
    return {"Uri": addresses.mount_uri(source.address, region), "MountPath": source.path, "MountAccess": "RO"}


def _mounts(options: PaiOptions) -> Iterator[DataSource]:
    for path, what in options.mounts.items():
        if "://" in what:
            yield {"Uri": what, "MountPath": path, "MountAccess": "RO"}
        else:
            yield {"DataSourceId": what, "MountPath": path, "MountAccess": "RO"}


def _credentials(role: str | None) -> CredentialConfig:
    """The job's RAM role; the platform injects its temporary credentials (ALIBABA_CLOUD_CREDENTIALS_URI)."""
    taken: CredentialRole = {"RoleType": "service", "RoleArn": role} if role else {"RoleType": "service"}
    return {
        "EnableCredentialInject": True,
        "AliyunEnvRoleKey": "0",
        "CredentialConfigItems": [{"Key": "0", "Type": "Role", "Roles": [taken]}],
    }


def _settings(context: PaiContext) -> DlcSettings:
    options = context.options
    driver = options.driver or drivers.needed_driver(context.known, context.ecs_spec, options.image)
    settings: DlcSettings = {
        "Tags": {OUR_TAG: context.spec.name, **options.tags},
        "TerminationGracePeriodSeconds": options.grace_s,
    }
    if options.rdma:
        settings["EnableRDMA"] = True
    if driver:
        settings["Driver"] = driver
    if options.sanity_check:
        settings["EnableSanityCheck"] = True
    if _wants_aimaster(context):
        settings["EnableErrorMonitoringInAIMaster"] = True
        settings["ErrorMonitoringArgs"] = RESTARTS
    return settings


def _wants_aimaster(context: PaiContext) -> bool:
    """As the option says; else on Lingjun's spot machines, the only ones that PAI documents it to restore."""
    if context.options.aimaster is not None:
        return context.options.aimaster
    return context.spec.resources.spot and LINGJUN.match(context.ecs_spec or "") is not None


def _vpc(options: PaiOptions) -> UserVpc:
    vpc = UserVpc()
    if options.vpc_id:
        vpc["VpcId"] = options.vpc_id
    if options.switch_id:
        vpc["SwitchId"] = options.switch_id
    if options.security_group_id:
        vpc["SecurityGroupId"] = options.security_group_id
    if options.extended_cidrs:
        vpc["ExtendedCIDRs"] = list(options.extended_cidrs)
    if options.default_route:
        vpc["DefaultRoute"] = options.default_route
    return vpc


def _environment(context: PaiContext) -> dict[str, str]:
    return {
        contract.ENV_JOB: f"{MOUNTS}/job/{contract.JOB_FILE}",
        contract.ENV_NATIVE_NAME: context.native_name,
        ENV_DIGEST: context.digest,
        ENV_DURABLE: context.durable,
        "HF_HOME": f"{HUB_CACHE}/huggingface",
        "MODELSCOPE_CACHE": f"{HUB_CACHE}/modelscope",
        **({contract.ENV_SECRETS_FROM: _secrets_from(context)} if context.spec.secrets else {}),
    }


def _secrets_from(context: PaiContext) -> str:
    """Names only: the runtime reads the values from KMS with the job's role."""
    names = {
        "kms": list(context.spec.secrets),
        "prefix": context.options.secrets_prefix,
        "endpoint": addresses.kms_endpoint(context.options, inside=True),
    }
    return json.dumps(names, separators=(",", ":"))
