"""What can happen to a training job on SageMaker, with real trainings and real containers."""

from __future__ import annotations

import hashlib
import json
import re
import time

import pytest
from click.testing import CliRunner

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.sagemaker import SageMaker
from ftsdk.cli import cli
from ftsdk.facts import inspect
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import TWELVE_STEPS, new_label
from tests.backends.sagemaker.account import image, options
from tests.emulators.sagemaker import KEYS, SageMakerCloud

pytestmark = [pytest.mark.docker, pytest.mark.trainer]
PATIENCE_S = 300.0


@pytest.fixture
def cloud(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = SageMakerCloud()
    cloud.make_account()
    cloud.grace_s = 12
    yield cloud
    cloud.close()


def started(cloud, fields, **changed):
    spec = parse({"name": new_label(), "env": {"OMP_NUM_THREADS": "1"}, **fields, **changed}, where="test")
    backend = SageMaker(options(cloud, image=image()))
    return submit(backend.plan(spec, inspect(spec)), backend, secrets={}, on_attach=lambda info: None)


def wait_for_step(job, step):
    """Until a checkpoint of at least this step is committed."""
    store = job.store
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


def test_two_interruptions_give_the_same_model(cloud, tiny_fields):
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


def test_a_cancel_saves_and_the_next_attempt_resumes(cloud, tiny_fields):
    fields = {
        **tiny_fields,
        "hyperparameters": {**TWELVE_STEPS, "max_steps": 5000},
        "checkpoint": {"every_steps": 10},
    }
    job = started(cloud, fields)
    wait_for_step(job, 10)
    job.cancel()
    info = job.wait(PATIENCE_S)
    assert (info.state, info.reason) == (JobState.CANCELLED, "cancelled"), info
    saved = int(re.search(r"step (\d+) is saved", info.message)[1])
    again = started(cloud, {**fields, "name": job.name.rpartition("-")[0]})
    assert again.uri == job.uri
    assert contract.native_name(job.name, 2) in cloud.jobs
    wait_for_step(again, saved + 10)
    again.cancel()
    assert again.wait(PATIENCE_S).attempt == 2
    steps = [point["step"] for point in again.metrics() if "loss" in point]
    assert steps == list(range(1, steps[-1] + 1))
    assert steps[-1] > saved


def test_two_nodes_train_together(cloud, tiny_fields):
    job = started(cloud, {**tiny_fields, "hyperparameters": dict(TWELVE_STEPS), "resources": {"num_nodes": 2}})
    info = job.wait(PATIENCE_S)
    assert info.state is JobState.SUCCEEDED, info
    losses, _ = made(job)
    assert sorted(losses) == list(range(1, 13))
    assert losses[12] < losses[1]
    nodes = {contract.parse_stamp(line.cursor.split(",")[0]).node for line in job.logs()}
    assert nodes == {0, 1}
    assert info.native["instance_count"] == 2


def test_with_network_isolation_the_platform_syncs_the_folder(cloud, tiny_fields):
    spec = parse({"name": new_label(), **tiny_fields, "hyperparameters": dict(TWELVE_STEPS)}, where="test")
    backend = SageMaker(options(cloud, image=image(), network_isolation=True))
    job = submit(backend.plan(spec, inspect(spec)), backend, secrets={}, on_attach=lambda info: None)
    assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED, job.info()
    assert "adapter_model.safetensors" in job.model().files
    assert sorted(made(job)[0]) == list(range(1, 13))


@pytest.mark.long
def test_a_model_is_evaluated_where_it_is(cloud, tiny_fields, tmp_path, monkeypatch):
    """Its weights and its held-out rows are in the bucket only; the result comes to lie beside the model."""
    rows = tmp_path / "held-out.jsonl"
    rows.write_text('{"instruction": "sun moon.", "input": "", "output": "river stone."}\n' * 4)
    dataset = {"train": tiny_fields["dataset"], "eval": str(rows)}
    job = started(cloud, {**tiny_fields, "dataset": dataset, "hyperparameters": {**TWELVE_STEPS, "max_steps": 2}})
    job.result(PATIENCE_S)
    with monkeypatch.context() as reached:
        reached.setenv("AWS_ENDPOINT_URL", cloud.url)  # nothing else says it to the local backend
        refused = CliRunner().invoke(cli, ["evaluate", job.uri])
    assert "Say --copy to make it" in str(refused.exception)
    rows.unlink()
    for name, value in options(cloud, image=image()).model_dump().items():
        if name in ("role", "region", "endpoint_url", "image"):
            monkeypatch.setenv(f"FTSDK_SAGEMAKER_{name.upper()}", value)
    asked = ["evaluate", job.uri, "--against", "base", "-b", "sagemaker", "-o", "instance_type=ml.m5.xlarge", "--json"]
    said = CliRunner().invoke(cli, asked, catch_exceptions=False)
    result = json.loads(said.output[said.output.index("{\n") :])
    assert result["num_rows"] == 4
    assert result["metrics"]["loss"]["against"] is not None
    (kept,) = job.model().lineage["evaluations"]
    assert kept["metrics"] == result["metrics"]
    sent = [upload["source"] for upload in Job.attach(result["job_uri"]).plan.to_json()["uploads"]]
    assert not [path for path in sent if "adapter" in path]
