"""What is special inside a PAI DLC job: nodes, secrets of KMS, and that the trainer sees no raw variables."""

from __future__ import annotations

import json

import pytest

from ftsdk import contract
from ftsdk.runtime.platforms import aliyun_secrets
from ftsdk.runtime.platforms.cluster import NOT_FOR_TRAINERS, Cluster
from ftsdk.runtime.platforms.detect import detect
from ftsdk.runtime.platforms.secret_service import SecretError
from tests.emulators.buckets import KEY, SECRET
from tests.emulators.dlc import DlcCloud, acs3_signature

POD = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "dlc1-master-0", "MASTER_PORT": "23456", "NPROC_PER_NODE": "8"}


@pytest.fixture(scope="module")
def cloud():
    cloud = DlcCloud()
    yield cloud
    cloud.close()


def told(cloud, *names):
    return json.dumps({"kms": names, "prefix": "ftsdk/", "endpoint": cloud.url})


def role(cloud):
    return {"ALIBABA_CLOUD_CREDENTIALS_URI": f"{cloud.url}/role/dlc1"}


def test_nodes_are_counted_as_a_pytorchjob_does():
    assert detect(POD) == Cluster(2, 1, "dlc1-master-0", 23456)
    ours = {contract.ENV_NUM_NODES: "3", contract.ENV_NODE_RANK: "0"}
    assert detect({**POD, **ours}).num_nodes == 3
    assert set(POD) <= set(NOT_FOR_TRAINERS)


def test_the_emulator_computes_the_published_signature():
    """Example of the page that `acs3_signature` names."""
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
    digest = headers["x-acs-content-sha256"]
    made = acs3_signature("POST", "/", query, headers, sorted(headers), digest, "YourAccessKeySecret")
    assert made == "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"


@pytest.mark.parametrize("trouble", [[], [503, 429], ["drop"]])
def test_secrets_come_from_kms_with_the_jobs_role(cloud, trouble):
    cloud.secrets.update({"ftsdk/A": "one 字 ~", "ftsdk/B": "two"})
    cloud.troubles["GetSecretValue"] = list(trouble)
    assert aliyun_secrets.fetch(told(cloud, "A", "B"), role(cloud)) == {"A": "one 字 ~", "B": "two"}


def test_a_secret_that_is_not_there_is_named(cloud):
    with pytest.raises(SecretError, match=r"ftsdk/C.*ResourceNotFound"):
        aliyun_secrets.fetch(told(cloud, "C"), role(cloud))


def test_wrong_keys_are_refused(cloud):
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": KEY, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET + "x"}
    with pytest.raises(SecretError, match=r"InvalidAccessKeyId|SignatureDoesNotMatch"):
        aliyun_secrets.fetch(told(cloud, "A"), {**keys, "ALIBABA_CLOUD_SECURITY_TOKEN": "STSTEST"})
