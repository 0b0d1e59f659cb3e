"""A role's keys: fetched again and again from an address that fails, over a job that outlives many of them."""

from __future__ import annotations

import os
import time

import pytest

from ftsdk.runtime.platforms import aws_secrets
from ftsdk.runtime.storage import aws_credentials, credentials
from ftsdk.runtime.storage.aliyun_credentials import AliyunCredentials
from ftsdk.runtime.storage.bucket import BucketStore
from tests.emulators.roles import RoleAddress, RoleBuckets

PLACES = ("container", "instance")


@pytest.fixture
def role():
    role = RoleAddress()
    yield role
    role.close()


@pytest.fixture
def bucket(role, monkeypatch, tmp_path):
    server = RoleBuckets(role)
    server.make_bucket()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.close()


def environ_of(place, role, monkeypatch):
    if place == "instance":
        return {"AWS_METADATA_ENDPOINT": role.url}
    monkeypatch.setattr(aws_credentials, "CONTAINER_HOST", role.url)
    return {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/job"}


def opened(bucket, environ, retry_s=20.0):
    return BucketStore("s3://bucket/a", {"endpoint": bucket.url}, {**os.environ, **environ}, retry_s=retry_s)


@pytest.mark.parametrize("place", PLACES)
def test_fetched_keys_are_cached(bucket, role, monkeypatch, place):
    store = opened(bucket, environ_of(place, role, monkeypatch))
    for number in range(5):
        store.put(f"key-{number}", b"data")
    assert len(role.ends) == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_save_survives_an_address_that_answers_500(bucket, role, monkeypatch, place):
    role.trouble = 0.5
    opened(bucket, environ_of(place, role, monkeypatch)).put("key", b"data")
    assert bucket.count("PUT", "key") == 1


@pytest.mark.parametrize(("place", "trouble"), [("container", 0.4), ("instance", 0.15)])
def test_expiring_keys_are_renewed_during_a_job(bucket, role, monkeypatch, place, trouble):
    """Keys of 1.5 seconds stand for those of hours; two of five fetches fail (an instance's takes three requests)."""
    role.trouble, role.lifetime_s = trouble, 1.5
    monkeypatch.setattr(credentials, "EARLY_S", 1.0)
    monkeypatch.setattr(credentials, "PAUSE_S", 0.1)
    store = opened(bucket, environ_of(place, role, monkeypatch))
    ends, saves = time.monotonic() + 8.0, 0
    while time.monotonic() < ends:
        store.put(f"checkpoint-{saves}", b"weights")
        assert store.read(f"checkpoint-{saves}") == b"weights"
        saves += 1
        time.sleep(0.05)
    assert saves > 20
    assert len(role.ends) > 5 and role.failures >= 3


@pytest.mark.parametrize("place", PLACES)
def test_keys_that_the_service_calls_expired_are_renewed(bucket, role, monkeypatch, place):
    """The clock of the service is ahead: it refuses keys that are valid for another second by their document."""
    monkeypatch.setattr(credentials, "EARLY_S", 0.0)
    role.lifetime_s, bucket.ahead_s = 2.0, 1.5
    store = opened(bucket, environ_of(place, role, monkeypatch))
    store.put("key", b"data")
    for use in (
        lambda: store.read("key"),
        lambda: store.size("key"),
        lambda: list(store.list()),
        lambda: store.put_if_absent("new", b""),
    ):
        time.sleep(0.7)
        use()
    assert bucket.expired >= 4 and len(role.ends) >= 5


def test_expired_keys_of_the_environment_are_refused_at_once(bucket, role):
    keys = {"AWS_ACCESS_KEY_ID": "AK0", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": "TOKEN"}
    with pytest.raises(PermissionError, match=r"access was refused .400 ExpiredToken"):
        opened(bucket, keys).put("key", b"data")
    assert bucket.expired == 1


def test_good_keys_are_kept_while_the_address_is_gone(bucket, role, monkeypatch):
    monkeypatch.setattr(credentials, "EARLY_S", 1e9)
    monkeypatch.setattr(credentials, "PAUSE_S", 0.0)
    store = opened(bucket, environ_of("container", role, monkeypatch))
    store.put("before", b"data")
    role.trouble = 1.0
    began = time.monotonic()
    store.put("during", b"data")
    assert time.monotonic() - began < 2.0
    assert role.failures > 0


def test_expired_keys_without_an_address_are_an_outage_and_no_refusal(bucket, role, monkeypatch):
    monkeypatch.setattr(credentials, "RETRY", credentials.RETRY._replace(attempts=2))
    role.lifetime_s = 0.2
    store = opened(bucket, environ_of("instance", role, monkeypatch), retry_s=0.5)
    store.put("before", b"data")
    role.trouble = 1.0
    time.sleep(0.3)
    with pytest.raises(ConnectionError, match="the address of the credentials does not answer"):
        store.put("after", b"data")


def test_missing_credentials_raise_without_retries(bucket):
    began = time.monotonic()
    with pytest.raises(PermissionError, match="no credentials were found"):
        opened(bucket, {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}).put("key", b"data")
    assert time.monotonic() - began < 2.0


def test_fetching_alibaba_clouds_keys_is_retried(role, monkeypatch):
    role.trouble = 0.5
    provider = AliyunCredentials({"ALIBABA_CLOUD_CREDENTIALS_URI": role.url})
    assert provider()["access_key_id"] == "AK0"
    role.trouble = 1.0
    monkeypatch.setattr(credentials, "EARLY_S", 1e9)
    assert provider()["access_key_id"] == "AK0"


def test_a_secret_is_fetched_despite_a_500(role, monkeypatch):
    pytest.importorskip("moto")
    from tests.emulators.sagemaker import SageMakerCloud

    cloud = SageMakerCloud()
    cloud.make_account()
    cloud.client("secretsmanager").create_secret(Name="ftsdk/HF_TOKEN", SecretString="one")
    role.trouble = 0.5
    environ = {**environ_of("container", role, monkeypatch), "AWS_ENDPOINT_URL": cloud.url, "AWS_REGION": "us-west-2"}
    assert aws_secrets.fetch('{"aws": ["HF_TOKEN"], "prefix": "ftsdk/"}', environ) == {"HF_TOKEN": "one"}
    cloud.close()
