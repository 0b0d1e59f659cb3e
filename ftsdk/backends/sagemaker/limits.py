"""What CreateTrainingJob accepts, checked before anything is sent; botocore itself checks no maximum, pattern or enum.

`data/create_training_job.json` is the request's shape of botocore's service model, made by
`python -m tests.backends.sagemaker.service_limits`; `CROSS_FIELD` are the rules that its reference has in prose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Required, TypedDict

from ftsdk.backends.sagemaker import disks

DAY_S: Final = 86400
LONGEST_RUN_S: Final = 28 * DAY_S
LONGEST_JOB_S: Final = 30 * DAY_S
KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
}
PASSED_KINDS: Final[Mapping[str, str]] = {
    "structure": "object", "map": "object", "integer": "int", "long": "int", "boolean": "bool",
}  # fmt: skip
UNITS: Final[Mapping[str, str]] = {"string": " letters", "list": " of them", "map": " of them"}
CLASSES: Final = ((r"\p{Alnum}", "A-Za-z0-9"), (r"\p{L}", r"\w"), (r"\p{Z}", " "), (r"\p{N}", r"\d"))
"""Unicode classes of the service's (Java) patterns that Python's `re` writes otherwise."""

OUR_FIELDS: Final[tuple[tuple[str, str], ...]] = (
    (r"TrainingJobName", "name"),
    (r"RoleArn", "option role"),
    (r"AlgorithmSpecification\.TrainingImageConfig\.", "option registry_login"),
    (r"AlgorithmSpecification\.TrainingImage", "option image"),
    (r"OutputDataConfig\.KmsKeyId|ResourceConfig\.VolumeKmsKeyId", "option kms_key"),
    (r"OutputDataConfig\.S3OutputPath|CheckpointConfig", "output (or options bucket and prefix)"),
    (r"ResourceConfig\.(InstanceType|InstancePreferences)", "option instance_type"),
    (r"ResourceConfig\.InstanceCount", "resources.num_nodes"),
    (r"ResourceConfig\.VolumeSizeInGB", "option volume_gb (or resources.disk_gb)"),
    (r"ResourceConfig\.KeepAlive", "option keep_alive_minutes"),
    (r"VpcConfig\.Subnets", "option subnets"),
    (r"VpcConfig\.SecurityGroupIds", "option security_groups"),
    (r"StoppingCondition\.MaxRuntime", "timeout_hours"),
    (r"StoppingCondition\.MaxWait", "option max_wait_hours"),
    (r"StoppingCondition\.MaxPending", "option max_pending_hours"),
    (r"ResourceConfig\.TrainingPlan", "option training_plan"),
    (r"RemoteDebugConfig", "option remote_debug"),
    (r"InputDataConfig.*FileSystem", "option file_systems"),
    (r"InputDataConfig.*S3Uri", "model or dataset (their address in S3)"),
    (r"Tags", "option tags"),
    (r"RetryStrategy", "option retries"),
    (r"Environment\[FTSDK_SECRETS", "secrets"),
    (r"EnableManagedSpotTraining", "resources.spot"),
)
"""Place in the request -> the name of the user's field or option; the first match wins."""


class ServiceShape(TypedDict, total=False):
    """A shape of botocore's service model."""

    type: Required[str]
    members: dict[str, ServiceShape]
    required: list[str]
    member: ServiceShape
    key: ServiceShape
    value: ServiceShape
    min: int
    max: int
    enum: list[str]
    pattern: str


def problems(request: Mapping[str, object]) -> Iterator[str]:
    """Everything that the service would refuse, a sentence each, in the names of our spec and options."""
    for path, problem in violations(request):
        ours = next((name for pattern, name in OUR_FIELDS if re.match(pattern, path)), None)
        yield f"{ours} ({path}): {problem}" if ours else f"{path}: {problem}"


def violations(request: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(place in the request, what is wrong with it) for every limit that is passed."""
    wrong = list(_walk(_shape(), request, ""))
    yield from wrong
    if any("should be" in problem for _, problem in wrong):
        return  # the rules below read the fields
    for holds, path, problem in CROSS_FIELD:
        if holds(request):
            yield path, problem


def instance_types() -> frozenset[str]:
    """Training instance types of the packaged table."""
    members = _shape()["members"]["ResourceConfig"]["members"]
    return frozenset(members["InstanceType"]["enum"])


def instance_types_of_botocore() -> frozenset[str]:
    """Training instance types that the installed botocore knows; empty without one. Reads its files."""
    try:
        from botocore.session import get_session
    except ImportError:
        return frozenset()
    return frozenset(get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum)


@cache
def fields() -> Mapping[str, str]:
    """Every field of the request: dotted path -> kind as `passthrough.KINDS` names it."""
    return dict(_fields(_shape(), ""))


def _fields(shape: ServiceShape, path: str) -> Iterator[tuple[str, str]]:
    if shape["type"] == "list":
        yield path, "list"
        shape = shape["member"]
    elif path:
        yield path, PASSED_KINDS.get(shape["type"], "str")
    for name, member in shape.get("members", {}).items() if shape["type"] == "structure" else ():
        yield from _fields(member, f"{path}.{name}" if path else name)


@cache
def _shape() -> ServiceShape:
    text = files("ftsdk.backends.sagemaker").joinpath("data", "create_training_job.json").read_text("utf-8")
    shape: ServiceShape = json.loads(text)["request"]
    return shape


# --- one field ---------------------------------------------------------------------------------------------
def _walk(shape: ServiceShape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    kind = shape["type"]
    if not _is(kind, value):
        yield path, f"should be a {kind}, not {value!r}"
        return
    yield from ((path, problem) for problem in _own_problems(shape, value))
    if kind == "structure":
        yield from _structure(shape, value, path)
    elif kind == "list":
        for number, item in enumerate(value):
            yield from _walk(shape["member"], item, f"{path}[{number}]")
    elif kind == "map":
        for key, item in value.items():
            yield from _walk(shape["key"], key, f"{path}[{key[:40]}]")
            yield from _walk(shape["value"], item, f"{path}[{key[:40]}]")


def _is(kind: str, value: object) -> bool:
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _structure(shape: ServiceShape, value: Mapping[str, object], path: str) -> Iterator[tuple[str, str]]:
    head = f"{path}." if path else ""
    yield from ((head + name, "is required") for name in shape.get("required", ()) if name not in value)
    for name, item in value.items():
        if name in shape["members"]:
            yield from _walk(shape["members"][name], item, head + name)
        else:
            yield head + name, "is no field of the request"


def _own_problems(shape: ServiceShape, value: Any) -> Iterator[str]:
    size = value if isinstance(value, int) else len(value)
    shown = f"{size}{UNITS.get(shape['type'], '')}"
    if size < shape.get("min", size):
        yield f"{shown}, and {shape['min']} is the least"
    if size > shape.get("max", size):
        yield f"{shown}, and {shape['max']} is the most"
    if "enum" in shape and value not in shape["enum"]:
        allowed = ", ".join(shape["enum"]) if len(shape["enum"]) < 9 else f"the {len(shape['enum'])} allowed values"
        yield f"{value!r} is not one of {allowed}"
    elif "pattern" in shape and not _pattern(shape["pattern"]).fullmatch(value):
        yield f"{value[:60]!r} does not have the form {shape['pattern']}"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    for theirs, ours in CLASSES:
        text = text.replace(theirs, ours)
    return re.compile(text)


# --- several fields ----------------------------------------------------------------------------------------
def _get(request: Mapping[str, object], path: str, default: object = None) -> Any:
    value: Any = request
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return default if value is None else value


def _runtime_s(request: Mapping[str, object]) -> int:
    return int(_get(request, "StoppingCondition.MaxRuntimeInSeconds", DAY_S))


def _wait_s(request: Mapping[str, object]) -> int | None:
    wait: int | None = _get(request, "StoppingCondition.MaxWaitTimeInSeconds")
    return wait


def _spot(request: Mapping[str, object]) -> bool:
    return bool(_get(request, "EnableManagedSpotTraining"))


def _doubled_channels(request: Mapping[str, object]) -> bool:
    names = [channel.get("ChannelName") for channel in _get(request, "InputDataConfig", ())]
    return len(names) != len(set(names))


def _file_systems(request: Mapping[str, object]) -> list[object]:
    channels = _get(request, "InputDataConfig", ())
    return [channel for channel in channels if "FileSystemDataSource" in channel.get("DataSource", {})]


def _kinds_of_machines(request: Mapping[str, object]) -> int:
    resources = _get(request, "ResourceConfig", {})
    return sum(bool(resources.get(name)) for name in ("InstanceType", "InstancePreferences", "InstanceGroups"))


def _types(request: Mapping[str, object]) -> list[str]:
    resources = _get(request, "ResourceConfig", {})
    preferred = [item.get("InstanceType", "") for item in resources.get("InstancePreferences") or ()]
    return [name for name in (resources.get("InstanceType"), *preferred) if name]


def _fixed_disks_gb(request: Mapping[str, object]) -> list[int]:
    return [disks.local_disks_gb()[name] for name in _types(request) if name in disks.local_disks_gb()]


def _reserved_names(request: Mapping[str, object]) -> bool:
    return any(tag.get("Key", "").lower().startswith("aws:") for tag in _get(request, "Tags", ()))


def _doubled_tags(request: Mapping[str, object]) -> bool:
    keys = [tag.get("Key") for tag in _get(request, "Tags", ())]
    return len(keys) != len(set(keys))


IMAGE_CONFIG: Final = "AlgorithmSpecification.TrainingImageConfig"
CrossFieldRule = tuple[Callable[[Mapping[str, object]], bool], str, str]
WAIT, RUNTIME = "StoppingCondition.MaxWaitTimeInSeconds", "StoppingCondition.MaxRuntimeInSeconds"
CROSS_FIELD: Final[tuple[CrossFieldRule, ...]] = (
    (
        lambda r: (
            bool(_get(r, "AlgorithmSpecification.TrainingImage"))
            == bool(_get(r, "AlgorithmSpecification.AlgorithmName"))
        ),
        "AlgorithmSpecification.TrainingImage",
        "exactly one of TrainingImage and AlgorithmName is required",
    ),
    (lambda r: "ResourceConfig" not in r, "ResourceConfig", "is required"),
    (lambda r: "StoppingCondition" not in r, "StoppingCondition", "is required"),
    (
        lambda r: _kinds_of_machines(r) != 1,
        "ResourceConfig.InstanceType",
        "exactly one way to name machines is required",
    ),
    (
        lambda r: bool(_get(r, "ResourceConfig.InstanceType")) and _get(r, "ResourceConfig.InstanceCount", 0) < 1,
        "ResourceConfig.InstanceCount",
        "at least one machine is required",
    ),
    (lambda r: _get(r, "ResourceConfig.VolumeSizeInGB", 1) < 1, "ResourceConfig.VolumeSizeInGB", "less than 1"),
    (lambda r: _runtime_s(r) > LONGEST_RUN_S, RUNTIME, "more than 28 days"),
    (lambda r: _spot(r) and _wait_s(r) is None, WAIT, "is required with spot"),
    (lambda r: _spot(r) and (_wait_s(r) or LONGEST_JOB_S) < _runtime_s(r), WAIT, "less than the time limit of the job"),
    (lambda r: not _spot(r) and _wait_s(r) is not None, WAIT, "is allowed with spot only"),
    (lambda r: (_wait_s(r) or 0) > LONGEST_JOB_S, WAIT, "more than 30 days"),
    (
        lambda r: _spot(r) and bool(_get(r, "ResourceConfig.KeepAlivePeriodInSeconds")),
        "ResourceConfig.KeepAlivePeriodInSeconds",
        "a warm pool excludes spot",
    ),
    (
        lambda r: _spot(r) and bool(_get(r, "ResourceConfig.InstancePreferences")),
        "ResourceConfig.InstancePreferences",
        "several types exclude spot",
    ),
    (
        lambda r: bool(_get(r, "ResourceConfig.VolumeKmsKeyId")) and any(map(disks.has_local_disk, _types(r))),
        "ResourceConfig.VolumeKmsKeyId",
        "types with local storage take no key: the hardware encrypts it",
    ),
    (
        lambda r: any(_get(r, "ResourceConfig.VolumeSizeInGB", 1) > size for size in _fixed_disks_gb(r)),
        "ResourceConfig.VolumeSizeInGB",
        "more than the fixed local storage of the type; choose a larger type",
    ),
    (
        lambda r: _spot(r) and bool(_get(r, "ResourceConfig.TrainingPlanArn")),
        "ResourceConfig.TrainingPlanArn",
        "reserved capacity excludes spot",
    ),
    (
        lambda r: bool(_file_systems(r)) and not _get(r, "VpcConfig"),
        "InputDataConfig.FileSystemDataSource",
        "file systems need subnets and security groups (VpcConfig)",
    ),
    (
        lambda r: bool(_get(r, f"{IMAGE_CONFIG}.TrainingRepositoryAccessMode") == "Vpc") and not _get(r, "VpcConfig"),
        IMAGE_CONFIG,
        "an image outside ECR is pulled through a VPC: give subnets and security groups",
    ),
    (_doubled_channels, "InputDataConfig", "a channel's name is there twice"),
    (_doubled_tags, "Tags", "a key is there twice"),
    (_reserved_names, "Tags", "keys that begin with aws: are reserved"),
    (
        lambda r: bool(_get(r, "EnableNetworkIsolation")) and bool(_get(r, "RemoteDebugConfig.EnableRemoteDebug")),
        "EnableNetworkIsolation",
        "excludes remote debugging",
    ),
)
"""Rules of the CreateTrainingJob reference that its service model does not have."""
