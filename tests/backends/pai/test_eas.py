"""Models as services of the emulated EAS: their container runs, and answers real requests through the gateway."""

import json

import pytest

from ftsdk.backends.base import DeploymentState
from ftsdk.backends.pai import Pai
from ftsdk.errors import BackendError, SpecError, UnsupportedError
from ftsdk.jobs.starting import no_bar
from ftsdk.models.deployment import deploy, plan_deployment, recorded
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import new_label
from tests.backends.pai.account import options
from tests.emulators.dlc import DlcCloud

CHAT = {"messages": [{"role": "user", "content": "sun moon"}], "max_tokens": 3}


@pytest.fixture
def cloud(monkeypatch):
    cloud = DlcCloud()
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    yield cloud
    cloud.close()


def spec(folder, **program):
    fields = {"model": str(folder / "model"), "name": new_label(), "program": {"type": "serve", **program}}
    return parse(fields, where="test")


@pytest.mark.docker
@pytest.mark.trainer
@pytest.mark.long
def test_a_service_can_scale_to_zero(cloud, tiny_folder):
    backend = Pai(options(cloud))
    asked = spec(tiny_folder, min_replicas=0, max_replicas=3)
    plan = plan_deployment(asked, backend)
    made = deploy(plan, backend, bar=no_bar)
    assert made.info().state is DeploymentState.READY
    assert made.info().address.endswith("/v1")
    assert made.ask(CHAT)["object"] == "chat.completion"
    (service,) = cloud.services.values()
    assert (service.autoscaler["min"], service.autoscaler["max"]) == (0, 3)
    assert any("ftsdk serves" in line for line in made.logs())
    assert deploy(plan, backend, bar=no_bar).uri == made.uri
    other = asked.model_copy(update={"program": asked.program.model_copy(update={"max_replicas": 4})})
    with pytest.raises(SpecError, match="is taken by another deployment"):
        deploy(plan_deployment(other, backend), backend, bar=no_bar)
    made.undeploy()
    made.undeploy()
    assert (cloud.services, recorded()) == ({}, [])


@pytest.mark.parametrize(
    ("program", "changed", "words"),
    [
        ({"beside": "oss://ours/other/model"}, {}, "no EAS service groups"),
        ({}, {"ecs_spec": None, "resource_id": "quota1a2b3c"}, "option resource_id"),
    ],
)
def test_unsupported_deployment_fields_are_refused(cloud, tiny_folder, program, changed, words):
    cloud.store().put("other/model/config.json", (tiny_folder / "model" / "config.json").read_bytes())
    with pytest.raises(UnsupportedError, match=words):
        plan_deployment(spec(tiny_folder, **program), Pai(options(cloud, **changed)))


def test_a_refused_autoscaler_leaves_no_service(cloud, tiny_folder):
    cloud.denied = {"CreateServiceAutoScaler"}
    backend = Pai(options(cloud, image="no-such-image"))
    with pytest.raises(BackendError, match="does not allow it"):
        deploy(plan_deployment(spec(tiny_folder, max_replicas=2), backend), backend, bar=no_bar)
    assert cloud.services == {}


def test_an_adapter_in_oss_is_known_by_the_backends_region(cloud, tiny_folder, tmp_path):
    """The environment names no region of OSS; the service mounts the adapter and its base."""
    store = cloud.store()
    for path in (tiny_folder / "model").iterdir():
        store.put(f"base/{path.name}", path.read_bytes())
    config = {"peft_type": "LORA", "base_model_name_or_path": "oss://ours/base"}
    store.put("theirs/model/adapter_config.json", json.dumps(config).encode())
    store.put("theirs/model/adapter_model.safetensors", b"weights")
    asked = spec(tiny_folder).model_copy(update={"model": "oss://ours/theirs/model"})
    plan = plan_deployment(asked, Pai(options(cloud)))
    mounted = {source["oss"]["path"] for source in plan.request["service"]["storage"]}
    assert {"oss://ours/base/", "oss://ours/theirs/model/"} < mounted
    served = json.loads(plan.request["service"]["containers"][0]["env"][0]["value"])["model"]
    assert set(served) == {"model_name_or_path", "adapter_name_or_path"}
