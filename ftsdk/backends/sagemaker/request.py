"""Spec and facts -> the exact CreateTrainingJob request and what has to be in S3 before it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, cast

from ftsdk import contract
from ftsdk.backends import passthrough
from ftsdk.backends.sagemaker import disks, limits, machines, vpc
from ftsdk.backends.sagemaker.shapes import (
    AlgorithmSpecification,
    CreateTrainingJob,
    InputChannel,
    InstancePreference,
    StoppingCondition,
    TrainingJobDescription,
    TrainingResources,
    VpcConfig,
)
from ftsdk.backends.shared import content_address, file_name, without_spot
from ftsdk.contract.documents import JobDocument
from ftsdk.engines.base import Layout
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.plan import Copy, Plan, Upload, build
from ftsdk.storage import copying
from ftsdk.storage.fingerprints import Fingerprint

if TYPE_CHECKING:
    from ftsdk.backends.sagemaker.options import SageMakerOptions
    from ftsdk.facts import Facts, SourceFacts
    from ftsdk.spec import JobSpec

CHANNELS: Final = "/opt/ml/input/data"
"""Where the platform puts inputs (SageMaker developer guide, "How SageMaker provides training information")."""
CHECKPOINTS: Final = "/opt/ml/checkpoints"
MORE: Final = "more"
"""Channel of inputs other than the model and the data."""
SCRATCH: Final = "/tmp/ftsdk"
HUB_CACHE: Final = "/tmp/ftsdk-hub"
STOP_S: Final = 120.0
"""The platform's time between SIGTERM and SIGKILL."""
GRACE_S: Final = 100.0
"""The trainer's share of it in seconds; the rest is for the supervisor to record the outcome."""
DEFAULT_RUN_S: Final = 5 * limits.DAY_S
"""The quota "Longest run time for a training job" of an account without a quota increase."""
STOP_MARGIN_S: Final = 900
"""The supervisor enforces the time limit and saves a checkpoint; the platform's own limit is a later fallback."""
DEFAULT_WAIT_S: Final = limits.DAY_S
DEFAULT_VOLUME_GB: Final = 100
"""Fits on every type whose local disk is its volume (the smallest, ml.g4dn.xlarge, has 125 GB)."""
REMOTE: Final = ("s3://", "oss://", "gs://")
OUTPUT: Final = "/sagemaker"
"""Where, below a job's folder, the platform puts what it uploads itself."""
METRICS: Final = ("loss", "eval_loss", "train_loss", "grad_norm", "learning_rate", "tokens_per_s", "gpu_memory_gib")
ENV_DIGEST: Final = "FTSDK_DIGEST"
"""Records the digest of spec and data in the job's description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerContext:
    """The inputs of the request."""

    spec: JobSpec
    facts: Facts
    options: SageMakerOptions
    name: str
    digest: str
    region: str
    account: str
    root: str
    """`s3://bucket/prefix`: staged inputs, the runtime, and the jobs."""
    durable: str
    """The job's own folder in S3."""
    image: str
    types: tuple[str, ...]

    @property
    def native_name(self) -> str:
        """Native name of the first attempt; `Plan.for_attempt` replaces it."""
        return contract.native_name(self.name, 1)


@dataclass(frozen=True, slots=True)
class Channel:
    """An input: objects in S3 that the platform provides at `/opt/ml/input/data/NAME`."""

    name: str
    uri: str
    """A folder (with a slash at its end) or a single object."""
    files: tuple[tuple[str, Fingerprint], ...] = ()
    """(name in the folder, local file) for what has to be uploaded."""

    @property
    def uploads(self) -> Iterator[Upload]:
        """The uploads of the files."""
        for name, file in self.files:
            target = self.uri + name if self.uri.endswith("/") else self.uri
            yield Upload(source=file.path, target=target, bytes=file.bytes, sha256=file.sha256, is_content_address=True)


# --- inputs ------------------------------------------------------------------------------------------------
def layout(facts: Facts, root: str, *, isolated: bool, durable: str) -> Layout:
    """Paths inside the job."""
    inputs: dict[str, str] = {}
    inputs |= {address: f"{CHANNELS}/{name}" for address, name in model_channel_names(facts).items()}
    for role, sources in (("train", facts.train), ("eval", facts.eval)):
        for number, source in enumerate(sources):
            if source.file:
                inputs[source.file.path] = f"{CHANNELS}/{role}/{_name_in_channel(number, source)}"
            elif source.address.startswith("s3://"):
                inputs[source.address] = f"{CHANNELS}/{role}-{number}/{PurePosixPath(source.address).name}"
    inputs |= {path: f"{CHANNELS}/{MORE}/{inside}" for path, inside in _more(facts).items()}
    return Layout(durable=CHECKPOINTS if isolated else durable, scratch=SCRATCH, inputs=inputs)


def inputs_of(facts: Facts, root: str) -> list[Channel]:
    """The model, the data and all other inputs, as channels."""
    beside = [
        (inside + file.path[len(path) :].replace("\\", "/"), file)
        for path, inside in _more(facts).items()
        for file in dict.fromkeys(facts.files)
        if file.path == path or _below(path, file.path)
    ]
    more = [staged(MORE, beside, root)] if beside else []
    return [*model_channels(facts, root), *_data_channels(facts, root), *more]


def _more(facts: Facts) -> dict[str, str]:
    """Reward functions, other models, media and files that arguments name: local path -> path in their channel."""
    kinds = ("rewards/", "reward-", "against-", "beside/")
    return {
        path: inside.removeprefix("/")
        for path, inside in build.staged(facts, "").items()
        if inside.removeprefix("/").startswith(kinds)
    }


def own_channels(context: SageMakerContext) -> list[Channel]:
    """The job document and the runtime that reads it."""
    runtime = context.facts.runtime
    file = Fingerprint(runtime.path, runtime.bytes, runtime.sha256)
    name = file_name(runtime.path)
    return [
        Channel("job", f"{context.durable}/{contract.JOB_FILE}"),
        Channel("runtime", f"{context.root}/runtime/{name}", ((name, file),)),
    ]


def model_channel_names(facts: Facts) -> dict[str, str]:
    """Address of a model -> its channel: the job's own model and its base, and every other one in a bucket."""
    names: dict[str, str] = {}
    for role, model in facts.models.items():
        prefix = "" if role == "model" else f"{role}-"
        for address, kind in ((model.address, "model"), (model.base, "base")):
            here = role == "model" and any(_below(address, file.path) for file in model.files)
            if (here or address.startswith(REMOTE)) and address not in names:
                names[address] = prefix + kind
    return names


def model_channels(facts: Facts, root: str) -> Iterator[Channel]:
    """Models as channels."""
    for address, name in model_channel_names(facts).items():
        if address.startswith(REMOTE):
            yield Channel(name, _in_s3(address, root))
        else:
            files = ((inside, file) for file in facts.model.files if (inside := _below(address, file.path)))
            yield staged(name, files, root)


def copies_of(facts: Facts, root: str) -> Iterator[Copy]:
    """Copies of models in another cloud's bucket."""
    for address, size in facts.remote_models.items():
        if address.startswith(REMOTE[1:]):
            yield copying.copy_of(address, root, size)


def _in_s3(address: str, root: str) -> str:
    """A folder's own address, or that of its copy."""
    return address.rstrip("/") + "/" if address.startswith("s3://") else copying.copy_of(address, root, None).target


def _data_channels(facts: Facts, root: str) -> Iterator[Channel]:
    for role, sources in (("train", facts.train), ("eval", facts.eval)):
        files = [(_name_in_channel(n, source), source.file) for n, source in enumerate(sources) if source.file]
        if files:
            yield staged(role, files, root)
        for number, source in enumerate(sources):
            if source.address.startswith("s3://"):
                yield Channel(f"{role}-{number}", source.address)
            elif source.address.startswith(REMOTE):
                raise UnsupportedError(f"dataset {source.address}: SageMaker reads from S3; copy the file there first.")


def staged(name: str, files: Iterable[tuple[str, Fingerprint]], root: str) -> Channel:
    """A folder whose name is the digest of what is in it: the same files are uploaded once, for all jobs."""
    listed = tuple(files)
    return Channel(name, f"{root}/inputs/{content_address(listed)}/", listed)


def _name_in_channel(number: int, source: SourceFacts) -> str:
    """A number and the file's name: two local folders may have files of the same name."""
    return f"{number}/{file_name(source.address)}"


def _below(folder: str, path: str) -> str:
    """The path relative to the folder, with forward slashes; empty if it is not in the folder."""
    if path.startswith((folder + "/", folder + "\\")):
        return path[len(folder) + 1 :].replace("\\", "/")
    return ""


# --- the request -------------------------------------------------------------------------------------------
def request(context: SageMakerContext) -> CreateTrainingJob:
    """The arguments of `create_training_job`. Raises SpecError naming every limit that is passed."""
    options, spec = context.options, context.spec
    channels = [*own_channels(context), *inputs_of(context.facts, context.root)]
    body: CreateTrainingJob = {
        "TrainingJobName": context.native_name,
        "RoleArn": options.role,
        "AlgorithmSpecification": _algorithm(context),
        "InputDataConfig": [
            *(_channel(channel, options.input_mode) for channel in channels),
            *(vpc.mounted(name, address) for name, address in options.file_systems.items()),
        ],
        "OutputDataConfig": {"S3OutputPath": context.durable + OUTPUT, "CompressionType": "NONE"},
        "ResourceConfig": _machines(context),
        "StoppingCondition": _time_limits(spec, options),
        "EnableManagedSpotTraining": spec.resources.spot,
        "EnableNetworkIsolation": options.network_isolation,
        "EnableInterContainerTrafficEncryption": options.encrypt_traffic,
        "Environment": _environment(context),
        "Tags": [{"Key": key, "Value": value} for key, value in _tags(context).items()],
    }
    if options.kms_key:
        body["OutputDataConfig"]["KmsKeyId"] = options.kms_key
    if options.subnets or options.security_groups:
        body["VpcConfig"] = network(options)
    if options.retries:
        body["RetryStrategy"] = {"MaximumRetryAttempts": options.retries}
    if options.network_isolation:
        body["CheckpointConfig"] = _synced(context)
    if options.remote_debug:
        body["RemoteDebugConfig"] = {"EnableRemoteDebug": True}
    body = passthrough.merged(body, options.request, known=limits.fields(), service="CreateTrainingJob")
    refuse(body)
    return body


def durable_of(body: CreateTrainingJob | TrainingJobDescription) -> str:
    """Address of the job's folder, from a request or a description."""
    return str(body["OutputDataConfig"]["S3OutputPath"]).removesuffix(OUTPUT)


def request_of(plan: Plan) -> CreateTrainingJob:
    """The request of a plan of this backend."""
    return cast("CreateTrainingJob", plan.request)


def on_demand(plan: Plan) -> Plan:
    """Convert a plan for spot machines to on-demand machines. Pure."""
    body = request_of(plan)
    time_limits = body["StoppingCondition"].copy()
    time_limits.pop("MaxWaitTimeInSeconds", None)
    body = {**body, "EnableManagedSpotTraining": False, "StoppingCondition": time_limits}
    full = machines.usd_per_hour_of(body["ResourceConfig"], plan.storage.get("region", ""))
    document: JobDocument = {**plan.document, "after_save": "exit"}
    price = plan.price_usd_per_hour or full
    return replace(plan, request=body, spec=without_spot(plan), document=document, usd_per_hour=price)


def on_next_type(body: CreateTrainingJob, types: Sequence[str], tried: str) -> CreateTrainingJob:
    """The request on the type after the one that was tried, in the order of preference, from the end to the start."""
    index = types.index(tried) + 1 if tried in types else 0
    resources: TrainingResources = {**body["ResourceConfig"], "InstanceType": types[index % len(types)]}
    return {**body, "ResourceConfig": resources}


def refuse(body: CreateTrainingJob) -> None:
    """Raise SpecError if the service would refuse the request; the message has every reason."""
    if problems := list(limits.problems(body)):
        raise SpecError(f"SageMaker would refuse this job: {'; '.join(problems)}.")


def _algorithm(context: SageMakerContext) -> AlgorithmSpecification:
    runtime = f"{CHANNELS}/runtime/{file_name(context.facts.runtime.path)}"
    algorithm: AlgorithmSpecification = {
        "TrainingImage": context.image,
        "TrainingInputMode": context.options.input_mode,
        "ContainerEntrypoint": ["python", runtime, "supervise"],
        "MetricDefinitions": [{"Name": f"ftsdk:{name}", "Regex": _regex(name)} for name in METRICS],
    }
    if registry := vpc.registry(context.image, context.options.registry_login):
        algorithm["TrainingImageConfig"] = registry
    return algorithm


def _regex(metric: str) -> str:
    """Matches a metric in an ftsdk event line (see `contract.event_line`) only."""
    return rf'ftsdk \{{"event": "{contract.EVENT_METRICS}".*"{metric}": ([-+.0-9eE]+)'


def _channel(channel: Channel, mode: str) -> InputChannel:
    own = channel.name in ("job", "runtime")
    return {
        "ChannelName": channel.name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": channel.uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "InputMode": "File" if own else mode,
    }


def _machines(context: SageMakerContext) -> TrainingResources:
    options, resources = context.options, context.spec.resources
    count = resources.num_nodes
    if len(context.types) > 1 and not resources.spot:
        body: TrainingResources = {"InstancePreferences": [_preference(name, count, options) for name in context.types]}
    else:
        body = {"InstanceType": context.types[0], "InstanceCount": count}
        if options.training_plan:
            body["TrainingPlanArn"] = options.training_plan
    body["VolumeSizeInGB"] = options.volume_gb or resources.disk_gb or DEFAULT_VOLUME_GB
    if options.kms_key and not any(map(disks.has_local_disk, context.types)):
        body["VolumeKmsKeyId"] = options.kms_key
    if options.keep_alive_minutes:
        body["KeepAlivePeriodInSeconds"] = options.keep_alive_minutes * 60
    return body


def _preference(name: str, count: int, options: SageMakerOptions) -> InstancePreference:
    if options.training_plan:
        return {"InstanceType": name, "InstanceCount": count, "TrainingPlanArns": [options.training_plan]}
    return {"InstanceType": name, "InstanceCount": count}


def _time_limits(spec: JobSpec, options: SageMakerOptions) -> StoppingCondition:
    runtime_s = ceil(spec.timeout_hours * 3600) + STOP_MARGIN_S if spec.timeout_hours else DEFAULT_RUN_S
    limits_s: StoppingCondition = {"MaxRuntimeInSeconds": runtime_s}
    if spec.resources.spot:
        wait_s = ceil(options.max_wait_hours * 3600) if options.max_wait_hours else runtime_s + DEFAULT_WAIT_S
        limits_s["MaxWaitTimeInSeconds"] = wait_s
    if options.max_pending_hours:
        limits_s["MaxPendingTimeInSeconds"] = ceil(options.max_pending_hours * 3600)
    return limits_s


def network(options: SageMakerOptions) -> VpcConfig:
    """The private network."""
    return {"SecurityGroupIds": list(options.security_groups), "Subnets": list(options.subnets)}


def _synced(context: SageMakerContext) -> dict[str, str]:
    """Without a network the runtime cannot reach S3, so the platform syncs the folder, at any time."""
    return {"S3Uri": context.durable, "LocalPath": CHECKPOINTS}


def _tags(context: SageMakerContext) -> dict[str, str]:
    return {"ftsdk:name": context.name, "ftsdk:label": context.spec.name, **context.options.tags}


def _environment(context: SageMakerContext) -> dict[str, str]:
    options, multi_node = context.options, context.spec.resources.num_nodes > 1
    efa = options.efa and multi_node and all(machines.has_efa(name) for name in context.types)
    return {
        contract.ENV_JOB: f"{CHANNELS}/job/{contract.JOB_FILE}",
        contract.ENV_NATIVE_NAME: context.native_name,
        ENV_DIGEST: context.digest,
        "AWS_REGION": context.region,
        "AWS_DEFAULT_REGION": context.region,
        **({"AWS_ENDPOINT_URL": options.endpoint_url} if options.endpoint_url else {}),
        "HF_HOME": f"{HUB_CACHE}/huggingface",
        "MODELSCOPE_CACHE": f"{HUB_CACHE}/modelscope",
        **(machines.EFA_ENVIRONMENT if efa else {}),
        **({contract.ENV_MODEL_ARTIFACTS: "1"} if options.model_artifacts else {}),
        **({contract.ENV_SECRETS_FROM: _secrets_from(context)} if context.spec.secrets else {}),
    }


def _secrets_from(context: SageMakerContext) -> str:
    """Names only: the runtime reads the values from Secrets Manager or SSM with the job's role."""
    return json.dumps(
        {"aws": list(context.spec.secrets), "prefix": context.options.secrets_prefix}, separators=(",", ":")
    )
