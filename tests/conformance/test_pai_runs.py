"""What can happen to a training job on PAI DLC, with real trainings and real containers."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.pai import Pai
from ftsdk.facts import inspect
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import TWELVE_STEPS, new_label
from tests.backends.pai.account import options
from tests.emulators.dlc import DlcCloud

pytestmark = [pytest.mark.docker, pytest.mark.trainer]
PATIENCE_S = 300.0
CLOCKS = {"time", "tokens_per_s", "eta_s", "gpu_memory_gib"}
"""What is measured and not computed."""


@pytest.fixture
def cloud(monkeypatch):
    cloud = DlcCloud()
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    yield cloud
    cloud.close()


def started(cloud, fields, **changed):
    spec = parse({"name": new_label(), "env": {"OMP_NUM_THREADS": "1"}, **fields}, where="test")
    backend = Pai(options(cloud, **changed))
    return submit(backend.plan(spec, inspect(spec)), backend, secrets={}, on_attach=lambda info: None)


def evict(cloud, job, attempt, *, notice):
    """Take the machines of an attempt back once it has committed a checkpoint."""
    name = contract.native_name(job.name, attempt)
    until(job, lambda: any(native.name == name for native in list(cloud.jobs.values())))
    before = max(committed(job), default=0)
    until(job, lambda: max(committed(job), default=0) > before)
    cloud.job(name).evict(notice=notice)


def until(job, condition):
    """Wait for what the job does by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, job.info()
        time.sleep(0.1)


def committed(job):
    """Steps of the checkpoints that there are."""
    keys = (item.key for item in job.store.list(f"{contract.CHECKPOINTS_DIR}/"))
    return [int(key.split("-")[1].split("/")[0]) for key in keys if key.endswith(contract.COMMIT_FILE)]


def logged(job):
    """Every value that was logged, by its step and kind."""
    return {
        (point["step"], contract.metrics_kind(point)): {key: point[key] for key in point.keys() - CLOCKS}
        for point in job.metrics()
    }


def weights(job):
    data = job.model().store.read(f"{contract.MODEL_DIR}/adapter_model.safetensors")
    return hashlib.sha256(data).hexdigest()


def test_two_evictions_give_the_same_model(cloud, tiny_fields):
    fields = {
        **tiny_fields,
        "hyperparameters": {**TWELVE_STEPS, "max_steps": 240},  # it is still in it when the machines go
        "checkpoint": {"every_steps": 10},
    }
    calm = started(cloud, fields)
    shaken = started(cloud, {**fields, "resources": {"spot": True}}, spot_discount_limit=0.8)
    argv = ["-c", "from ftsdk.cli import main; main()", "watch", shaken.uri, "--every-s", "0.2", "--json"]
    with subprocess.Popen([sys.executable, *argv], stdout=subprocess.PIPE, text=True) as watcher:
        evict(cloud, shaken, 1, notice=True)
        evict(cloud, shaken, 2, notice=False)
        said = [json.loads(line) for line in watcher.communicate(timeout=PATIENCE_S)[0].splitlines()]
    assert calm.wait(PATIENCE_S).state is JobState.SUCCEEDED, calm.info()
    info = shaken.info()
    assert (info.state, info.attempt, watcher.returncode) == (JobState.SUCCEEDED, 3, 0), (info, said)
    assert [line["action"] for line in said if line["action"] != "wait"] == ["start", "start", "done"]
    assert {job.reason[0] for job in cloud.jobs.values()} == {"", "JobFailed"}
    assert logged(shaken) == logged(calm)
    assert weights(shaken) == weights(calm)
    lines = list(shaken.logs())
    stamps = [contract.parse_stamp(line.cursor) for line in lines]
    assert stamps == sorted(set(stamps))
    assert list(shaken.logs(after=lines[len(lines) // 2].cursor)) == lines[len(lines) // 2 + 1 :]


def test_two_nodes_train_together(cloud, tiny_fields):
    fields = {**tiny_fields, "hyperparameters": dict(TWELVE_STEPS), "resources": {"num_nodes": 2}}
    job = started(cloud, fields)
    info = job.wait(PATIENCE_S)
    assert info.state is JobState.SUCCEEDED, info
    points = logged(job)
    assert [step for step, kind in sorted(points) if kind == "step"] == list(range(1, 13))
    assert points[12, "step"]["loss"] < points[1, "step"]["loss"]
    nodes = {contract.parse_stamp(line.cursor.split(",")[0]).node for line in job.logs()}
    assert nodes == {0, 1}
