"""What SageMaker would refuse is refused at plan, by the names of the spec's fields."""

from __future__ import annotations

import copy
import json

import pytest

from ftsdk.backends.sagemaker import limits
from ftsdk.errors import FtsdkError, SpecError, UnsupportedError
from tests.backends.sagemaker import service_limits
from tests.emulators import service_model
from tests.golden import plans
from tests.golden.sagemaker import IMAGE as WITH_EFA
from tests.golden.sagemaker import REQUESTS, backend

GOOD = REQUESTS["one-gpu"]().request
SPOT = REQUESTS["spot"]().request
S3 = ("InputDataConfig", 0, "DataSource", "S3DataSource")
IMAGE_CONFIG = ("AlgorithmSpecification", "TrainingImageConfig")
FILE_SYSTEM = REQUESTS["file-systems"]().request
REGISTRY = REQUESTS["private-registry"]().request
ABSENT = object()

MALFORMED = {
    "no name": (GOOD, ("TrainingJobName",), ABSENT),
    "empty name": (GOOD, ("TrainingJobName",), ""),
    "name of 64": (GOOD, ("TrainingJobName",), "a" * 64),
    "name with _": (GOOD, ("TrainingJobName",), "a_b"),
    "no role": (GOOD, ("RoleArn",), ABSENT),
    "role that is no ARN": (GOOD, ("RoleArn",), "role/ftsdk-training-role"),
    "role of a user": (GOOD, ("RoleArn",), "arn:aws:iam::123456789012:user/ada"),
    "no algorithm": (GOOD, ("AlgorithmSpecification", "TrainingImage"), ABSENT),
    "image and algorithm": (GOOD, ("AlgorithmSpecification", "AlgorithmName"), "xgboost"),
    "image of 256": (GOOD, ("AlgorithmSpecification", "TrainingImage"), "i" * 256),
    "no input mode": (GOOD, ("AlgorithmSpecification", "TrainingInputMode"), ABSENT),
    "unknown input mode": (GOOD, ("AlgorithmSpecification", "TrainingInputMode"), "Fast"),
    "empty entrypoint": (GOOD, ("AlgorithmSpecification", "ContainerEntrypoint"), []),
    "entrypoint of 257": (GOOD, ("AlgorithmSpecification", "ContainerEntrypoint", 0), "p" * 257),
    "41 metrics": (GOOD, ("AlgorithmSpecification", "MetricDefinitions"), [{"Name": "a", "Regex": "b"}] * 41),
    "metric without a regex": (GOOD, ("AlgorithmSpecification", "MetricDefinitions"), [{"Name": "a"}]),
    "regex of 501": (GOOD, ("AlgorithmSpecification", "MetricDefinitions", 0, "Regex"), "r" * 501),
    "no channel": (GOOD, ("InputDataConfig",), []),
    "21 channels": (
        GOOD,
        ("InputDataConfig",),
        [{**GOOD["InputDataConfig"][0], "ChannelName": f"c{i}"} for i in range(21)],
    ),
    "channel twice": (GOOD, ("InputDataConfig", 1, "ChannelName"), "job"),
    "channel with a blank": (GOOD, ("InputDataConfig", 0, "ChannelName"), "a b"),
    "channel without a source": (GOOD, ("InputDataConfig", 0, "DataSource"), ABSENT),
    "address that is no URI": (GOOD, (*S3, "S3Uri"), "bucket/key"),
    "address of 1025": (GOOD, (*S3, "S3Uri"), "s3://b/" + "k" * 1018),
    "unknown kind of S3 data": (GOOD, (*S3, "S3DataType"), "Prefix"),
    "no output": (GOOD, ("OutputDataConfig",), ABSENT),
    "output in a folder": (GOOD, ("OutputDataConfig", "S3OutputPath"), "/tmp/out"),
    "unknown compression": (GOOD, ("OutputDataConfig", "CompressionType"), "ZIP"),
    "no machines": (GOOD, ("ResourceConfig",), ABSENT),
    "unknown type": (GOOD, ("ResourceConfig", "InstanceType"), "ml.p9.99xlarge"),
    "no machine": (GOOD, ("ResourceConfig", "InstanceCount"), 0),
    "count as text": (GOOD, ("ResourceConfig", "InstanceCount"), "2"),
    "no disk": (GOOD, ("ResourceConfig", "VolumeSizeInGB"), 0),
    "a key for local storage": (GOOD, ("ResourceConfig", "VolumeKmsKeyId"), "0123abcd"),
    "more than the local storage": (GOOD, ("ResourceConfig", "VolumeSizeInGB"), 900),
    "pending for a minute": (GOOD, ("StoppingCondition", "MaxPendingTimeInSeconds"), 60),
    "reserved on spot": (
        SPOT,
        ("ResourceConfig", "TrainingPlanArn"),
        "arn:aws:sagemaker:us-west-2:123456789012:training-plan/ours",
    ),
    "warm for 7 hours": (GOOD, ("ResourceConfig", "KeepAlivePeriodInSeconds"), 7 * 3600),
    "warm on spot": (SPOT, ("ResourceConfig", "KeepAlivePeriodInSeconds"), 600),
    "type and preferences": (GOOD, ("ResourceConfig", "InstancePreferences"), [{"InstanceType": "ml.g5.xlarge"}]),
    "no time limit": (GOOD, ("StoppingCondition",), ABSENT),
    "29 days": (GOOD, ("StoppingCondition", "MaxRuntimeInSeconds"), 29 * 86400),
    "0 seconds": (GOOD, ("StoppingCondition", "MaxRuntimeInSeconds"), 0),
    "waiting without spot": (GOOD, ("StoppingCondition", "MaxWaitTimeInSeconds"), 500000),
    "spot without waiting": (SPOT, ("StoppingCondition", "MaxWaitTimeInSeconds"), ABSENT),
    "spot that waits less than it runs": (SPOT, ("StoppingCondition", "MaxWaitTimeInSeconds"), 60),
    "a file system without a VPC": (
        FILE_SYSTEM,
        ("VpcConfig",),
        ABSENT,
    ),
    "a file system without a folder": (
        FILE_SYSTEM,
        ("InputDataConfig", -1, "DataSource", "FileSystemDataSource", "DirectoryPath"),
        ABSENT,
    ),
    "an unknown kind of file system": (
        FILE_SYSTEM,
        ("InputDataConfig", -1, "DataSource", "FileSystemDataSource", "FileSystemType"),
        "NFS",
    ),
    "an image outside ECR without a VPC": (REGISTRY, ("VpcConfig",), ABSENT),
    "a login that is no function": (
        REGISTRY,
        (*IMAGE_CONFIG, "TrainingRepositoryAuthConfig", "TrainingRepositoryCredentialsProviderArn"),
        "user:password",
    ),
    "six security groups": (GOOD, ("VpcConfig",), {"SecurityGroupIds": ["sg-1"] * 6, "Subnets": ["subnet-1"]}),
    "subnets alone": (GOOD, ("VpcConfig",), {"Subnets": ["subnet-1"]}),
    "51 tags": (GOOD, ("Tags",), [{"Key": f"k{i}", "Value": ""} for i in range(51)]),
    "tag of 129": (GOOD, ("Tags", 0, "Key"), "k" * 129),
    "tag of AWS": (GOOD, ("Tags", 0, "Key"), "aws:mine"),
    "101 variables": (GOOD, ("Environment",), {f"V{i}": "" for i in range(101)}),
    "variable of 513": (GOOD, ("Environment", "V"), "v" * 513),
    "variable 2X": (GOOD, ("Environment", "2X"), "v"),
    "31 retries": (GOOD, ("RetryStrategy", "MaximumRetryAttempts"), 31),
    "unknown field": (GOOD, ("Instances",), 1),
    "a word for yes": (GOOD, ("EnableNetworkIsolation",), "yes"),
}


def changed(request, path, value):
    made = copy.deepcopy(request)
    place = made
    for key in path[:-1]:
        place = place[key]
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


@pytest.mark.parametrize("name", REQUESTS)
def test_planned_requests_are_within_the_limits(name):
    assert list(limits.problems(REQUESTS[name]().request)) == []


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_refused(what):
    assert list(limits.problems(changed(*MALFORMED[what])))


# --- every limit of the service model ----------------------------------------------------------------------
def wrong_values(shape):
    """A value over every limit of one shape."""
    text = shape.get("enum", ["a"])[0] if shape["type"] == "string" else None
    for rule in ("min", "max"):
        if rule in shape and not (rule == "min" and shape["min"] == 0):
            beyond = shape[rule] + (1 if rule == "max" else -1)
            yield {
                "string": lambda n: "x" * n,
                "list": lambda n: [None] * n,
                "map": lambda n: {f"k{i}": None for i in range(n)},
            }.get(shape["type"], lambda n: n)(beyond)
    if "pattern" in shape and not limits._pattern(shape["pattern"]).fullmatch("\n\0"):
        yield "\n\0" * max(1, shape.get("min", 0))
    if "enum" in shape:
        yield text + "x"
    yield object()


def cases(shape, wrap=lambda value: value, path=""):
    """(path, request with one wrong value there) for every limit in the tree."""
    for value in wrong_values(shape):
        yield path, wrap(value)
    if shape["type"] == "structure":
        head = f"{path}." if path else ""
        for name in shape["required"]:
            yield head + name, wrap({})
        for name, member in shape["members"].items():
            yield from cases(member, lambda v, n=name: wrap({n: v}), head + name)
    elif shape["type"] == "list":
        yield from cases(shape["member"], lambda v: wrap([v]), f"{path}[0]")
    elif shape["type"] == "map":
        yield from cases(shape["value"], lambda v: wrap({"k": v}), f"{path}[k]")


def test_every_limit_of_the_service_model_is_kept():
    shape = service_limits.table()["request"]
    found = list(cases(shape))
    assert len(found) > 300
    kept = [path in {place for place, _ in limits._walk(limits._shape(), request, "")} for path, request in found]
    assert [path for (path, _), ok in zip(found, kept, strict=True) if not ok] == []


def test_the_packaged_table_is_not_older_than_what_we_send():
    """Newer botocores may add fields and instance types; what we send must not have changed under us."""
    ours, theirs = json.loads(service_limits.TABLE.read_text("utf-8"))["request"], service_limits.table()["request"]
    for name in {key for make in REQUESTS.values() for key in make().request}:
        assert ours["members"][name]["type"] == theirs["members"][name]["type"]
        assert set(ours["members"][name].get("members", ())) <= set(theirs["members"][name].get("members", ()))


# --- in our words --------------------------------------------------------------------------------------------
A10G = {"accelerator": "A10G"}
SAID = {
    "role": ({"role": "ada"}, {}, SpecError, "option 'role' is 'ada': give the ARN"),
    "no role": ({"role": None}, {}, SpecError, "needs the option 'role'.*FTSDK_SAGEMAKER_ROLE"),
    "role of another partition": ({"region": "cn-north-1", "role": "arn:aws:iam::123456789012:role/x"}, {}, SpecError,
                                  "region cn-north-1 belongs to partition aws-cn"),
    "region": ({"region": "Oregon"}, {}, SpecError, "'region' 'Oregon' is no region"),
    "no region": ({"region": None}, {}, SpecError, "'region' is missing: give it by"),
    "bucket": ({"bucket": "s3://ours"}, {}, SpecError, "'bucket' 's3://ours' is no bucket's name"),
    "retries": ({"keep_alive_minutes": 400}, {}, SpecError, r"option keep_alive_minutes \(ResourceConfig.KeepAlive"),
    "subnets": ({"subnets": ["subnet-1"]}, {}, SpecError, r"option security_groups \(VpcConfig.SecurityGroupIds\)"),
    "tags": ({"tags": {"aws:x": "y"}}, {}, SpecError, r"option tags \(Tags\): keys that begin with aws:"),
    "volume": ({"volume_gb": -1}, {}, SpecError, "option volume_gb"),
    "time": ({}, {"timeout_hours": 700.0}, SpecError, r"timeout_hours \(.*\): more than 28 days"),
    "spot and warm": ({"keep_alive_minutes": 5}, {"resources": {**A10G, "spot": True}}, SpecError, "excludes spot"),
    "wait": ({"max_wait_hours": 1.0}, {"resources": {**A10G, "spot": True}}, SpecError, "option max_wait_hours"),
    "output": ({}, {"output": "runs"}, SpecError, "output 'runs'.*give s3://BUCKET/PREFIX"),
    "no accelerator": ({}, {"resources": {}}, SpecError, "give resources.accelerator"),
    "unknown accelerator": ({}, {"resources": {"accelerator": "A999"}}, SpecError, "'A999' is not known"),
    "none of these": ({}, {"resources": {"accelerator": "RTX4090"}}, SpecError, "no training instance with it"),
    "too many": ({}, {"resources": {**A10G, "accelerators_per_node": 9}}, SpecError, "at most 8 x A10G in a machine"),
    "memory limit": ({}, {"resources": {**A10G, "memory_gb": 8.0}}, UnsupportedError, "memory_gb"),
    "many secrets": ({}, {"secrets": tuple(f"A_RATHER_LONG_NAME_{i}" for i in range(30))}, SpecError, "secrets"),
    "isolated, hub": ({"network_isolation": True}, {"model": "Qwen/Qwen3-8B"}, UnsupportedError, "comes from a hub"),
    "isolated, W&B": ({"network_isolation": True}, {"tracking": {"wandb": "x"}}, UnsupportedError, "tracking.wandb"),
    "isolated, secrets": ({"network_isolation": True}, {"secrets": ("A",)}, UnsupportedError, "secrets"),
    "isolated, nodes": ({"network_isolation": True}, {"resources": {"num_nodes": 2}}, UnsupportedError, "nodes"),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_the_message_names_what_a_person_wrote(what):
    options, fields, kind, words = SAID[what]
    asked = plans.spec(**{"resources": A10G, **fields})
    made_up = plans.facts(local_model="/" not in asked.model)
    with pytest.raises(kind, match=words):
        backend(**{"region": "us-west-2", **options}).plan(asked, made_up)


def test_an_unknown_type_is_refused_where_it_is_given():
    from ftsdk.backends import get

    with pytest.raises(FtsdkError, match=r"there is no training instance 'ml.g5.3xlarge' \(did you mean 'ml.g5"):
        get("sagemaker", {"instance_type": "ml.g5.3xlarge", "region": "us-west-2"})


def test_planning_needs_no_boto3():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from tests.golden.sagemaker import REQUESTS\n"
        "print(len([make() for make in REQUESTS.values()]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(len(REQUESTS))


def test_the_emulator_has_the_same_rule_for_local_storage():
    for what in ("a key for local storage", "more than the local storage", "reserved on spot"):
        assert service_model.refusals(changed(*MALFORMED[what]))


@pytest.mark.parametrize("what", ["a file system without a VPC", "an image outside ECR without a VPC"])
def test_the_emulator_refuses_what_needs_a_vpc(what):
    assert service_model.refusals(changed(*MALFORMED[what]))
    assert not service_model.refusals(MALFORMED[what][0])
    asked = plans.spec(resources={"accelerator": "A10G"})
    given = (
        {"file_systems": "hub=efs://fs-0a1b2c3d/hub"} if "file" in what else {"image": "registry.example.com/ours:1"}
    )
    with pytest.raises(SpecError, match="subnets"):
        backend(**given).plan(asked, plans.facts())


@pytest.mark.parametrize("address", ["s3://b/k", "fsx://fs-0a1b2c3d", "efs://0a1b2c3d/x", "fsx://fs-0a1b2c3d/"])
def test_an_invalid_file_system_address_is_refused(address):
    with pytest.raises(ValueError, match="should be fsx://fs-ID/MOUNT/FOLDER or efs://fs-ID/FOLDER"):
        backend(file_systems=f"hub={address}")


def test_a_v100_is_refused_with_cuda_13():
    asked, found = plans.spec(resources={"accelerator": "V100"}), plans.facts()
    with pytest.raises(UnsupportedError, match="torch=cuda12"):
        backend().plan(asked, found)
    assert backend(torch="cuda12").plan(asked, found).request["AlgorithmSpecification"]["TrainingImage"].endswith("12")
    backend(image="123456789012.dkr.ecr.us-west-2.amazonaws.com/ours:1").plan(asked, found)


def test_without_efa_nodes_use_tcp_and_the_estimate_is_slower():
    resources = {"accelerator": "H100", "accelerators_per_node": 8, "num_nodes": 2}
    asked = plans.spec(resources=resources, model="Qwen/Qwen3-8B", tuning="full", sharding="fsdp")
    found = plans.facts(local_model=False)
    tcp, efa = backend().plan(asked, found), backend(efa=True, image=WITH_EFA).plan(asked, found)
    assert any("talk TCP" in warning for warning in tcp.warnings)
    assert not any("talk TCP" in warning for warning in efa.warnings)
    assert "FI_PROVIDER" not in tcp.request["Environment"] and efa.request["Environment"]["FI_PROVIDER"] == "efa"
    assert tcp.estimate.speed.tokens_per_s < efa.estimate.speed.tokens_per_s
    assert tcp.estimate.speed.bound == "network"


@pytest.mark.parametrize("sharding", ["zero2", "zero3"])
def test_deepspeed_is_in_the_image(sharding):
    asked = plans.spec(resources={"accelerator": "A10G", "accelerators_per_node": 4}, sharding=sharding)
    assert backend().plan(asked, plans.facts()).trainer_config["deepspeed"]
    assert backend(torch="cuda12").plan(asked, plans.facts()).trainer_config["deepspeed"]


def test_a_field_without_an_option_is_passed_through_and_checked():
    asked, found = plans.spec(resources={"accelerator": "A10G"}), plans.facts()
    arn = "arn:aws:sagemaker:us-west-2:123456789012:mlflow-tracking-server/ours"
    passed = {"MlflowConfig.MlflowResourceArn": arn, "EnableNetworkIsolation2": "true"}
    with pytest.raises(SpecError, match="EnableNetworkIsolation2: CreateTrainingJob has no such"):
        backend(request=passed).plan(asked, found)
    del passed["EnableNetworkIsolation2"]
    assert backend(request=passed).plan(asked, found).request["MlflowConfig"] == {"MlflowResourceArn": arn}
    with pytest.raises(SpecError, match="does not have the form"):
        backend(request={"MlflowConfig.MlflowResourceArn": "ours"}).plan(asked, found)
    with pytest.raises(SpecError, match="ftsdk sets this field itself"):
        backend(request={"RoleArn": "x"}).plan(asked, found)
