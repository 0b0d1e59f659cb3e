"""An emulator takes over what a probe has measured and saved."""

from __future__ import annotations

import pytest

from ftsdk.jobs import probing
from ftsdk.storage.objects import ObjectStore
from tests.emulators import fixtures
from tests.emulators.buckets import OssBuckets
from tests.emulators.dlc import BUCKET, REGION, DlcCloud
from tests.emulators.sagemaker import SageMakerCloud

ANSWERS = {
    "stop": {"signal": "SIGTERM", "alive_s": 29.6},
    "log": {"delay_s": 4.5},
    "credentials": {"address": "http://169.254.170.2", "calls": 20, "answers": 15},
    "storage": {"put_if_absent": [True, True]},
}


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The answers as `--save` writes them, named by the variables."""
    for name in ("FTSDK_PROBE_SAGEMAKER", "FTSDK_PROBE_PAI"):
        (tmp_path / name).write_text(probing.as_fixture(ANSWERS))
        monkeypatch.setenv(name, str(tmp_path / name))


def test_sagemaker_is_as_slow_and_as_flaky_as_measured(saved):
    cloud = SageMakerCloud()
    try:
        fixtures.like_sagemaker(cloud, fixtures.measured("FTSDK_PROBE_SAGEMAKER"))
        assert (cloud.grace_s, cloud.logs.delay_s, cloud.role.trouble) == (30, 4.5, 0.25)
    finally:
        cloud.close()
        cloud.role.close()


def test_a_bucket_that_was_measured_to_overwrite_overwrites(saved, monkeypatch):
    cloud = DlcCloud()
    try:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        store = ObjectStore(f"oss://{BUCKET}", {"endpoint": f"http://{OssBuckets.host}", "region": REGION})
        assert [store.put_if_absent("a", b"1"), store.put_if_absent("a", b"2")] == [True, False]
        fixtures.like_pai(cloud, fixtures.measured("FTSDK_PROBE_PAI"))
        assert cloud.max_grace_s == 30
        assert [store.put_if_absent("b", b"1"), store.put_if_absent("b", b"2")] == [True, True]
    finally:
        cloud.close()


def test_without_a_file_nothing_is_known(monkeypatch):
    monkeypatch.delenv("FTSDK_PROBE_PAI", raising=False)
    assert fixtures.measured("FTSDK_PROBE_PAI") == {}
