"""botocore's service model of a request, read independently of ftsdk's own table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

DAY_S = 86400


@cache
def _shape(operation: str) -> Any:
    from botocore.session import get_session

    model = get_session().get_service_model("sagemaker")
    return model.operation_model(operation).input_shape


def refusals(request: dict[str, Any], operation: str = "CreateTrainingJob") -> list[str]:
    """Why an operation would refuse a request."""
    prose = _prose(request) if operation == "CreateTrainingJob" else ()
    return [*_walk(_shape(operation), request, "request"), *prose]


def _walk(shape: Any, value: Any, path: str) -> Iterator[str]:
    rules, kind = shape.metadata, shape.type_name
    size = len(value) if kind in ("string", "list", "map") else value
    if "min" in rules and size < rules["min"]:
        yield f"{path}: must be at least {rules['min']}"
    if "max" in rules and size > rules["max"]:
        yield f"{path}: must be at most {rules['max']}"
    if kind == "string":
        yield from _text(rules, value, path)
    elif kind == "structure":
        yield from (f"{path}.{name}: required" for name in shape.required_members if name not in value)
        for name, item in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown"
            else:
                yield from _walk(shape.members[name], item, f"{path}.{name}")
    elif kind == "list":
        for number, item in enumerate(value):
            yield from _walk(shape.member, item, f"{path}.{number}")
    elif kind == "map":
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{path} key")
            yield from _walk(shape.value, item, f"{path}.{key}")


def _text(rules: dict[str, Any], value: str, path: str) -> Iterator[str]:
    pattern = rules.get("pattern", ".*")
    for theirs, ours in ((r"\p{Alnum}", "A-Za-z0-9"), (r"\p{L}", r"\w"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d")):
        pattern = pattern.replace(theirs, ours)
    if value not in (rules.get("enum") or [value]):
        yield f"{path}: must satisfy enum value set"
    elif not re.fullmatch(pattern, value, re.DOTALL):
        yield f"{path}: must satisfy regular expression pattern {pattern}"


def _prose(request: dict[str, Any]) -> Iterator[str]:
    limits, machines = request.get("StoppingCondition", {}), request.get("ResourceConfig", {})
    spot, wait = request.get("EnableManagedSpotTraining"), limits.get("MaxWaitTimeInSeconds")
    run = limits.get("MaxRuntimeInSeconds", DAY_S)
    if spot and (wait is None or wait < run):
        yield "MaxWaitTimeInSeconds must be at least MaxRuntimeInSeconds"
    if wait is not None and not spot:
        yield "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
    if spot and (machines.get("KeepAlivePeriodInSeconds") or machines.get("InstancePreferences")):
        yield "KeepAlivePeriodInSeconds and InstancePreferences are not supported with managed spot training"
    if run > 28 * DAY_S:
        yield "MaxRuntimeInSeconds must be at most 28 days"
    types = [machines.get("InstanceType", ""), *(p["InstanceType"] for p in machines.get("InstancePreferences", ()))]
    for name in filter(None, types):
        yield from _disk(name, machines)
    if spot and machines.get("TrainingPlanArn"):
        yield "TrainingPlanArn is not supported with managed spot training"
    sources = [channel["DataSource"] for channel in request.get("InputDataConfig", [])]
    image = request.get("AlgorithmSpecification", {})
    if any("FileSystemDataSource" in source for source in sources) and not request.get("VpcConfig"):
        yield "VpcConfig is required for a FileSystemDataSource"
    if any(len(source) != 1 for source in sources):
        yield "DataSource must have exactly one source"
    through_vpc = image.get("TrainingImageConfig", {}).get("TrainingRepositoryAccessMode") == "Vpc"
    if through_vpc and not request.get("VpcConfig"):
        yield "VpcConfig is required when TrainingRepositoryAccessMode is Vpc"
    if ".dkr.ecr." not in image.get("TrainingImage", ".dkr.ecr.").partition("/")[0] and not through_vpc:
        yield "TrainingImage must be in ECR unless TrainingRepositoryAccessMode is Vpc"
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(names)) < len(names):
        yield "ChannelName must be unique"


FIXED_GB = {"ml.g4dn.xlarge": 125, "ml.g5.xlarge": 250, "ml.g5.2xlarge": 450, "ml.g6.2xlarge": 450, "ml.r5d.large": 75}
"""EC2's instance pages; some of them, looked up once more."""


def _disk(name: str, machines: dict[str, Any]) -> Iterator[str]:
    """ResourceConfig's reference: with local storage no key may be requested, and the size is the machine's."""
    family = name.split(".")[1]
    has_local = "d" in family or family.startswith(("g5", "g6", "g7", "p5", "p6"))
    if has_local and machines.get("VolumeKmsKeyId"):
        yield f"VolumeKmsKeyId is not supported for instance type {name}, which has local storage"
    if machines.get("VolumeSizeInGB", 0) > FIXED_GB.get(name, 1 << 20):
        yield f"VolumeSizeInGB is more than the {FIXED_GB[name]} GB of {name}"
