"""What can happen to a training job on SageMaker, with real trainings and real containers."""

from __future__ import annotations

import hashlib
import time

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.sagemaker import SageMaker
from ftsdk.facts import inspect
from ftsdk.job import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.conformance import TWELVE_STEPS, new_label
from tests.backends.sagemaker.account import options
from tests.emulators.sagemaker import KEYS, SageMakerCloud

pytestmark = [pytest.mark.docker, pytest.mark.trainer]
PATIENCE_S = 300.0


@pytest.fixture
def cloud(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = SageMakerCloud()
    cloud.make_account()
    cloud.grace_s = 20
    yield cloud
    cloud.close()


def started(cloud, fields, **changed):
    spec = parse({"name": new_label(), "env": {"OMP_NUM_THREADS": "1"}, **fields, **changed}, where="test")
    backend = SageMaker(options(cloud))
    return submit(backend.plan(spec, inspect(spec)), backend, secrets={}, on_attach=lambda info: None)


def wait_for_step(job, step):
    """Until a checkpoint of at least this step is committed."""
    store = job._backend.artifacts(job.name)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        keys = [item.key for item in store.list(f"{contract.CHECKPOINTS_DIR}/")]
        found = [int(key.split("-")[1].split("/")[0]) for key in keys if key.endswith(contract.COMMIT_FILE)]
        if max(found, default=0) >= step:
            return
        assert not job.done(), job.info()
        time.sleep(0.1)
    raise AssertionError(f"no checkpoint of step {step}")


def made(job):
    """Losses by step, and the digest of the weights."""
    model = job.model()
    weights = model.store.read(f"{contract.MODEL_DIR}/adapter_model.safetensors")
    losses = {point["step"]: point["loss"] for point in job.metrics() if "loss" in point}
    return losses, hashlib.sha256(weights).hexdigest()


def test_two_interruptions_change_nothing(cloud, tiny_fields):
    fields = {
        **tiny_fields,
        "hyperparameters": {**TWELVE_STEPS, "max_steps": 120},
        "checkpoint": {"every_steps": 10},
        "resources": {"spot": True},
    }
    calm = started(cloud, {**fields, "resources": {}})
    assert calm.wait(PATIENCE_S).state is JobState.SUCCEEDED, calm.info()
    shaken = started(cloud, fields)
    native = cloud.jobs[contract.native_name(shaken.name, 1)]
    wait_for_step(shaken, 10)
    native.interrupt(notice=True)
    while native.starts < 2:
        time.sleep(0.1)
    wait_for_step(shaken, 60)
    native.interrupt(notice=False)
    info = shaken.wait(PATIENCE_S)
    assert (info.state, native.starts, info.attempt) == (JobState.SUCCEEDED, 3, 1), info
    losses, weights = made(shaken)
    calm_losses, calm_weights = made(calm)
    assert {step: (losses.get(step), loss) for step, loss in calm_losses.items() if losses.get(step) != loss} == {}
    assert weights == calm_weights
    assert info.native["spot_saving_percent"] == pytest.approx(70, abs=5)
    assert info.native["billable_seconds"] < info.native["training_seconds"]
    lines = list(shaken.logs())
    stamps = [contract.parse_stamp(line.cursor) for line in lines]
    assert stamps == sorted(set(stamps))
    middle = len(lines) // 2
    assert list(shaken.logs(after=lines[middle].cursor)) == lines[middle + 1 :]
