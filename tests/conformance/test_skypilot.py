"""The skypilot backend keeps what every backend promises, on the real SkyPilot and a real Slurm cluster."""

from __future__ import annotations

import pytest

from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.testing.conformance import BackendConformance
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


class TestSkyPilot(BackendConformance):
    @pytest.fixture
    def backend(self, cluster):
        shared, storage = ("/tmp", str(slurm.BASE)), str(slurm.BASE / "shared")
        return SkyPilot(
            SkyPilotOptions(
                cluster=cluster,
                storage=storage,
                shared=shared,
                python=tiny.TRAINER_PYTHON,
                sky_python=str(slurm.PYTHON),
            )
        )

    @pytest.fixture
    def trained(self, tiny_fields):
        return {**tiny_fields, "resources": {"num_nodes": 2}}

    def public_words(self, plan):
        return slurm.sky_queue(CLUSTER)
