"""Models behind an address on this machine's Docker, deployed as users do."""

import json
import shutil
import subprocess
from dataclasses import replace
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from ftsdk.backends.docker import Docker
from ftsdk.backends.docker.options import DockerOptions
from ftsdk.backends.image import default_tag
from ftsdk.cli import cli
from ftsdk.errors import BackendError, JobNotFoundError, SpecError, UnsupportedError
from ftsdk.models.deployment import Deployment
from ftsdk.reports.ancestry import descendants
from ftsdk.testing.programs import new_label
from tests.golden import plans

IMAGE = ["-b", "docker", "-o", f"image={default_tag('cpu')}"]


def ftsdk(*words, fails=None):
    """What a command prints as JSON; with `fails`, the error of this class that it raises."""
    done = CliRunner().invoke(cli, [*map(str, words)])
    if fails:
        assert isinstance(done.exception, fails), done.output
        return str(done.exception)
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.output[done.output.index("\n{" if "\n{" in done.output else done.output[0]) :])


def containers(name):
    argv = ["docker", "ps", "--all", "--quiet", "--filter", f"name=^ftsdk-{name}$"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def ask(address, path, **content):
    request = Request(f"{address}{path}", json.dumps({"max_tokens": 3, **content}).encode())
    with urlopen(request, timeout=60) as response:
        return json.load(response)["choices"][0]


@pytest.mark.docker
@pytest.mark.trainer
def test_a_deployment_from_start_to_end(tiny_folder, tmp_path):
    name, model = new_label(), tiny_folder / "model"
    try:
        made = ftsdk("deploy", model, *IMAGE, "--name", name, "--json")
        assert made["uri"] == f"docker://deployments/{name}"
        address = made["address"].removesuffix("/v1")
        assert address.startswith("http://127.0.0.1:")
        chat = ask(address, "/v1/chat/completions", messages=[{"role": "user", "content": "sun"}])
        assert chat["message"]["role"] == "assistant"
        assert "text" in ask(address, "/invocations", prompt="sun")
        first = containers(name)
        assert ftsdk("deploy", model, *IMAGE, "--name", name, "--json") == made
        assert containers(name) == first
        taken = ftsdk("deploy", model, *IMAGE, "--name", name, "--set", "resources.memory_gb=8", fails=SpecError)
        assert "is taken by another deployment" in taken
        port = address.rpartition(":")[2]
        in_use = ftsdk("deploy", model, *IMAGE, "--name", f"{name}-b", "-o", f"port={port}", fails=BackendError)
        assert "The port is in use" in in_use
        assert containers(f"{name}-b") == []
        assert [row["state"] for row in ftsdk("deployments", "--json")] == ["READY"]
        assert ftsdk("deployment", "status", name, "--json")["address"] == made["address"]
        assert any("ftsdk serves" in line for line in Deployment.attach(name).logs())
    finally:
        ftsdk("undeploy", name, "--json")
    assert containers(name) == []
    ftsdk("deployment", "status", name, fails=JobNotFoundError)


@pytest.mark.docker
@pytest.mark.trainer
@pytest.mark.long
def test_a_server_that_does_not_come_up_is_removed(tiny_folder, tmp_path):
    broken = shutil.copytree(tiny_folder / "model", tmp_path / "model")
    (broken / "tokenizer.json").write_text("{")
    name = new_label()
    said = ftsdk("deploy", broken, *IMAGE, "--name", name, fails=BackendError)
    assert "has a tokenizer that cannot be loaded" in said
    assert containers(name) == []
    assert ftsdk("deployments", "--json") == []


def test_a_model_without_tokenizer_is_refused(spec_folder):
    (spec_folder / "model" / "model.safetensors").write_bytes(b"")
    assert "has no tokenizer" in ftsdk("deploy", spec_folder / "model", *IMAGE, fails=SpecError)


def test_a_deployment_is_known_to_the_model_of_its_job(own_home):
    job = "local://support-bot-1a2b3c4d"
    model = replace(plans.facts().model, lineage={"job": job})
    plan = Docker(DockerOptions()).deployments().plan(plans.spec(program="serve"), replace(plans.facts(), model=model))
    (own_home / "deployments").mkdir()
    (own_home / "deployments" / "one.json").write_text(json.dumps(plan.to_json()))
    assert [(node.kind, node.name) for node in descendants(job)] == [("deployed as", plan.uri)]
    assert descendants("local://another-1a2b3c4d") == ()


@pytest.mark.parametrize(
    ("program", "options", "words"),
    [
        ({"min_replicas": 0}, {}, "Docker stops none by itself"),
        ({"min_replicas": 2, "max_replicas": 2}, {}, "one container behind the port"),
        ({"beside": "s3://bucket/other"}, {}, "one container behind the port"),
    ],
)
def test_deployments_that_docker_cannot_run_are_refused(program, options, words):
    spec = plans.spec(program={"type": "serve", **program})
    with pytest.raises(UnsupportedError, match=words):
        Docker(DockerOptions(**options)).deployments().plan(spec, plans.facts())
