"""The skypilot backend keeps what every backend promises, on the real SkyPilot and a real Slurm cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.contract import EVENT_COMMIT, EVENT_PHASE
from ftsdk.facts import inspect
from ftsdk.job import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.conformance import TWELVE_STEPS, BackendConformance, new_label
from tests import slurm, tiny

pytestmark = pytest.mark.skypilot
CLUSTER = "conformance"


@pytest.fixture(autouse=True)
def own_skypilot(monkeypatch):
    """SkyPilot's and Slurm's programs talk to those of tests/setup/slurm.sh."""
    for name, value in slurm.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes that stay up: a cluster of its own takes each job half a minute longer."""
    resources = {"infra": slurm.INFRA, "cpus": 8, "accelerators": "H100:2"}
    yield slurm.sky_up(CLUSTER, {"num_nodes": 2, "resources": resources})
    slurm.sky_down(CLUSTER)


def options(**changed):
    """What every job here needs; only what lies in `shared` need not be copied."""
    given = {"storage": str(slurm.BASE / "shared"), "python": tiny.TRAINER_PYTHON, "sky_python": str(slurm.PYTHON)}
    return SkyPilotOptions(**given, **changed)


class TestSkyPilot(BackendConformance):
    @pytest.fixture
    def backend(self, cluster):
        return SkyPilot(options(cluster=cluster, shared=("/tmp",)))

    @pytest.fixture
    def trained(self, tiny_fields):
        return {**tiny_fields, "resources": {"num_nodes": 2}}

    def public_words(self, plan):
        return slurm.sky_queue(CLUSTER)


# --- recovery -----------------------------------------------------------------------------------------------
LONG_ENOUGH = {**TWELVE_STEPS, "max_steps": 100}
"""To be preempted in the middle."""


def long_training(backend, tiny_fields, **resources):
    spec = parse(
        {
            **tiny_fields,
            "name": new_label(),
            "hyperparameters": LONG_ENOUGH,
            "checkpoint": {"every_steps": 10},
            "env": {"OMP_NUM_THREADS": "1"},
            "resources": {"num_nodes": 2, **resources},
        },
        where="test",
    )
    return submit(backend.plan(spec, inspect(spec)), backend, secrets={}, on_attach=lambda info: None)


def weights(job):
    return Path(job.result(400).path, "adapter_model.safetensors").read_bytes()


@pytest.mark.trainer
def test_a_preempted_job_makes_the_same_model(cluster, tiny_fields):
    undisturbed = long_training(SkyPilot(options(cluster=cluster)), tiny_fields)
    expected = weights(undisturbed)
    slurm.sky_down(cluster)  # its allocation would keep the preempting job waiting
    backend = SkyPilot(options(infra=(slurm.SPOT,)))
    job = long_training(backend, tiny_fields, spot=True)
    next(event for event in job.events(follow=True) if event["event"] == EVENT_COMMIT)
    subprocess.run(["srun", "-p", "dev", "-N", "2", "--exclusive", "sleep", "1"], check=True)
    assert weights(job) == expected
    assert job.info().attempt == 1
    starts = [
        event["resume_step"] for event in job.events() if event["event"] == EVENT_PHASE and "resume_step" in event
    ]
    assert starts[0] is None
    assert max(filter(None, starts)) >= 10
    metrics = [point["step"] for point in job.metrics() if "loss" in point]
    assert metrics == list(range(1, 101))
