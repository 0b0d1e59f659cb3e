"""What CreateJob would refuse is refused at plan, by the names of the spec's fields and the options."""

import json

import pytest

from ftsdk.backends.pai import addresses, limits
from ftsdk.backends.pai.options import PaiOptions
from ftsdk.errors import SpecError
from tests.golden import plans
from tests.golden.pai import REQUESTS, backend, plan

A10 = {"accelerator": "A10"}
SPOT = {**A10, "spot": True}
REFUSED = {
    "workspace": (A10, {"workspace_id": "lab"}, "option workspace_id"),
    "image": (A10, {"image": "no image"}, "option image"),
    "type": ({}, {"ecs_spec": "gn7i"}, "option ecs_spec"),
    "quota without share": (A10, {"resource_id": "quota1"}, "options cpu and memory_gb"),
    "spot without limit": (SPOT, {}, "one of the options spot_discount_limit and spot_price_limit"),
    "spot with two limits": (SPOT, {"spot_discount_limit": 0.5, "spot_price_limit": 1.0}, "resources.spot"),
    "spot in a quota": (
        SPOT,
        {"resource_id": "q", "cpu": 8, "memory_gb": 32, "spot_discount_limit": 0.5},
        "a quota has no spot machines",
    ),
    "spot with aimaster": (SPOT, {"aimaster": True, "spot_discount_limit": 0.5}, "option aimaster"),
    "switch without vpc": (A10, {"switch_id": "vsw-1"}, "option vpc_id"),
    "vpc without group": (A10, {"vpc_id": "vpc-1"}, "option security_group_id"),
    "switch without blocks": (
        A10,
        {"vpc_id": "vpc-1", "switch_id": "vsw-1", "security_group_id": "sg-1"},
        "option extended_cidrs",
    ),
    "no block": (A10, {"vpc_id": "vpc-1", "security_group_id": "sg-1", "extended_cidrs": "all"}, "192.168.0.0/16"),
    "role": (A10, {"role": "arn:aws:iam::1:role/x"}, "option role"),
    "mount path": (A10, {"mounts": {"corpus": "d-1"}}, "whole path"),
    "mount twice": (A10, {"mounts": {"/mnt/ftsdk/job": "d-1"}}, "two mounts have one path"),
    "elastic spot without a price": (
        SPOT,
        {"spot_types": "ecs.gn7i-c16g1.4xlarge", "spot_discount_limit": 0.5},
        "option spot_types",
    ),
    "tags": (A10, {"tags": {"acs:x": "y"}}, "option tags"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    resources, options, words = REFUSED[name]
    with pytest.raises(SpecError, match="PAI would refuse this job: ") as refusal:
        plan(resources, options=options)
    assert words in str(refusal.value)


def test_secrets_need_a_role():
    with pytest.raises(SpecError, match=r"option role .*PAI's default role cannot read KMS"):
        plan(A10, secrets=("HF_TOKEN",))
    assert plan(A10, secrets=("HF_TOKEN",), options={"role": "acs:ram::1234567890123456:role/ftsdk"}).secrets


def test_spot_types_have_a_price_limit_per_hour():
    given = {"spot_types": "ecs.gn7i-c16g1.4xlarge", "spot_price_limit": 0.4744, "sanity_check": True}
    made = plan(SPOT, options=given)
    (worker,) = made.request["JobSpecs"]
    assert worker["ElasticSpotSpecs"] == [
        {"InstanceType": "ecs.gn7i-c16g1.4xlarge", "SpotStrategy": "LowestPrice", "SpotPriceLimit": 28.464}
    ]
    assert made.request["Settings"]["EnableSanityCheck"] is True
    assert not {"SpotSpec", "ElasticSpotSpecs"} & backend().on_demand(made).request["JobSpecs"][0].keys()


@pytest.mark.parametrize("missing", ["workspace_id", "bucket", "image"])
def test_a_missing_option_is_named(missing):
    with pytest.raises(SpecError, match=f"needs the option '{missing}'.*FTSDK_PAI_{missing.upper()}"):
        plan(A10, options={missing: None})


def test_a_region_is_needed():
    with pytest.raises(SpecError, match="option 'region' is missing"):
        backend(region=None).plan(plans.spec(resources=A10), plans.facts())


def test_a_long_request_is_refused():
    request = REQUESTS["one-gpu"]().request
    assert list(limits.problems(request)) == []
    longer = {**request, "Envs": {"A": "字" * 21_500}}
    assert [problem.partition(":")[0] for problem in limits.problems(longer)] == ["env (the whole request)"]


@pytest.mark.parametrize(
    ("ecs_spec", "given", "is_on"),
    [
        ("ml.gu7xf.8xlarge-gu108", {}, True),
        ("ml.gu7xf.8xlarge-gu108", {"aimaster": False}, False),
        ("ml.gu7i.c16m60.1-gu30", {}, False),
        ("ecs.gn7i-c8g1.2xlarge", {}, False),
    ],
)
def test_aimaster_is_on_for_spot_machines_of_lingjun(ecs_spec, given, is_on):
    options = {"ecs_spec": ecs_spec, "spot_discount_limit": 0.5, **given}
    assert ("EnableErrorMonitoringInAIMaster" in plan(SPOT, options=options).request["Settings"]) == is_on
    assert "EnableErrorMonitoringInAIMaster" not in plan(A10, options={"ecs_spec": ecs_spec}).request["Settings"]


def test_spot_in_an_undocumented_region_gives_a_warning():
    made = plan(SPOT, options={"region": "eu-central-1", "spot_discount_limit": 0.5})
    assert any("spot machines of DLC are documented for" in warning for warning in made.warnings)


@pytest.mark.parametrize("name", REQUESTS)
def test_every_field_is_one_of_the_client(name):
    from alibabacloud_pai_dlc20201203.models import CreateJobRequest

    request = json.loads(json.dumps(REQUESTS[name]().request))
    sent = CreateJobRequest().from_map(request).to_map()
    for part in (sent, *sent["JobSpecs"]):
        for key in ("CustomEnvs", "ElasticSpotSpecs", "LocalMountSpecs", "StartupDependencies"):
            assert part.pop(key, []) == []  # the client adds them, empty
    assert sent == request


def test_the_documented_examples_are_accepted():
    """Values from `example:` in the models of aliyun/alibabacloud-go-sdk, pai-dlc-20201203."""
    made = REQUESTS["cpu-mounts-auth"]().request
    worker = {
        **made["JobSpecs"][0],
        "EcsSpec": "ecs.c6.large",
        "Image": "registry-vpc.cn-hangzhou.aliyuncs.com/cloud-dsw/tensorflow:1.12PAI-gpu-py36-cu101-ubuntu18.04",
    }
    vpc = {"VpcId": "vpc-abcdef", "SwitchId": "vs-abcdef", "SecurityGroupId": "sg-abcdef", "DefaultRoute": "eth0"}
    source = {"DataSourceId": "d-cn9dl", "MountPath": "/root/data", "MountAccess": "RO"}
    example = {
        **made,
        "DisplayName": "tf-mnist-test",
        "JobMaxRunningTimeMinutes": 1024,
        "Priority": 8,
        "JobSpecs": [worker],
        "DataSources": [source],
        "UserVpc": {**vpc, "ExtendedCIDRs": ["192.168.0.0/16"]},
    }
    for workspace in ("268", "ws-20210126170216-xxxxxxx"):
        assert list(limits.problems({**example, "WorkspaceId": workspace})) == []
    uri = "oss://bucket.oss-cn-hangzhou-internal.aliyuncs.com/path/"
    assert addresses.mount_uri("oss://bucket/path", "cn-hangzhou") == uri


def test_more_accelerators_than_a_machine_has_are_refused():
    with pytest.raises(SpecError, match="at most 8 x A10"):
        plan({"accelerator": "A10", "accelerators_per_node": 16})
    with pytest.raises(SpecError, match="no machine with it in ftsdk's table"):
        plan({"accelerator": "B200"})
    with pytest.raises(SpecError, match="needs a kind of machine"):
        plan({})


def test_the_smallest_machine_that_holds_the_cards():
    types = {
        ("A10", 1): "ecs.gn7i-c8g1.2xlarge",
        ("T4", 1): "ecs.gn6i-c4g1.xlarge",
        ("A100-80GB", 8): "ecs.ebmgn7e.32xlarge",
        ("L20", 2): "ecs.gn8ia-2x.8xlarge",
    }
    found = {
        key: plan({"accelerator": key[0], "accelerators_per_node": key[1]}).request["JobSpecs"][0]["EcsSpec"]
        for key in types
    }
    assert found == types


def test_addresses():
    def options(**given):
        return PaiOptions(**{"region": "cn-hangzhou", **given})

    assert addresses.dlc_endpoint(options()) == "pai-dlc.cn-hangzhou.aliyuncs.com"
    assert addresses.dlc_endpoint(options(network="vpc")) == "pai-dlc-vpc.cn-hangzhou.aliyuncs.com"
    assert addresses.dlc_endpoint(options(region="cn-chengdu")) == "pai-dlc.aliyuncs.com"
    assert addresses.kms_endpoint(options(), inside=True) == "https://kms-vpc.cn-hangzhou.aliyuncs.com"
    assert addresses.kms_endpoint(options(region="ap-southeast-1"), inside=False) == (
        "https://kms.ap-southeast-1.aliyuncs.com"
    )
    assert addresses.storage(options())["endpoint"] == "https://s3.oss-cn-hangzhou.aliyuncs.com"
    assert addresses.storage(options(network="vpc"))["endpoint"] == "https://s3.oss-cn-hangzhou-internal.aliyuncs.com"
    cname = addresses.storage(options(oss_endpoint="https://data.example.com", oss_cname=True))
    assert (cname["endpoint"], cname["addressing"]) == ("https://data.example.com", "cname")
    assert addresses.job_storage(options(oss_endpoint="https://data.example.com", oss_cname=True)) == {
        "endpoint": "https://s3.oss-cn-hangzhou-internal.aliyuncs.com",
        "region": "cn-hangzhou",
    }
    assert addresses.mount_uri("oss://b/p/", "cn-beijing") == "oss://b.oss-cn-beijing-internal.aliyuncs.com/p/"
    assert addresses.mount_uri("oss://b", "cn-beijing") == "oss://b.oss-cn-beijing-internal.aliyuncs.com/"


@pytest.mark.parametrize("name", REQUESTS)
def test_attempts_have_names_of_their_own(name):
    made = REQUESTS[name]()
    again = made.for_attempt(2)
    assert again.request["DisplayName"] == f"{made.name}-a2"
    assert again.for_attempt(1) == made


def test_leaving_spot():
    made = REQUESTS["spot"]()
    freed = backend(spot_discount_limit=0.8).on_demand(made)
    assert "SpotSpec" not in freed.request["JobSpecs"][0]
    assert (freed.name, freed.digest, freed.spec["resources"]["spot"]) == (made.name, made.digest, False)
    assert backend(price_usd_per_hour=2.0).on_demand(made).usd_per_hour is None
