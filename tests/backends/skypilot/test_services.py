"""SkyServe services: rendered, read by SkyPilot's own package, and refused where they would be started."""

import pytest

from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.errors import UnsupportedError
from ftsdk.jobs.starting import no_bar
from ftsdk.models.deployment import deploy
from ftsdk.plan.deployment import NOT_RUN
from ftsdk.spec.loading import parse
from tests import slurm
from tests.golden import plans, programs

READ = """
import json, sys, sky
task = sky.Task.from_yaml_config({**json.load(sys.stdin), "file_mounts": {}})
spec = task.service
print(json.dumps([spec.readiness_path, spec.min_replicas, spec.max_replicas, [r.ports for r in task.resources]]))
"""
INFRA = ("aws/us-west-2",)


def plan(backend, **program):
    fields = {"model": programs.HUB, "name": "bot", "program": {"type": "serve", **program}}
    return backend.deployments().plan(parse(fields, where="test"), plans.facts(local_model=False))


@pytest.mark.skypilot
def test_skypilot_reads_the_service():
    made = plan(SkyPilot(SkyPilotOptions(infra=INFRA)), min_replicas=0, max_replicas=2)
    assert slurm.sky(READ, made.request["task"]).splitlines()[-1] == '["/ping", 0, 2, [["8080"]]]'


def test_a_service_is_rendered_and_not_started():
    backend = SkyPilot(SkyPilotOptions(infra=INFRA))
    made = plan(backend)
    assert made.warnings == (NOT_RUN,)
    with pytest.raises(UnsupportedError, match=r"rendered, not run.* `sky serve up service\.yaml -n bot`"):
        deploy(made, backend, bar=no_bar)


@pytest.mark.parametrize(
    ("program", "changed", "words"),
    [({"beside": "s3://bucket/other"}, {}, "the same share"), ({}, {"cluster": "mine"}, "machines of its own")],
)
def test_unsupported_deployment_fields_are_refused(program, changed, words):
    with pytest.raises(UnsupportedError, match=words):
        plan(SkyPilot(SkyPilotOptions(**changed)), **program)
