"""A probe is a real job: its answers are measured, kept for plans, and hold neither secrets nor account numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ftsdk.backends.docker import Docker
from ftsdk.backends.docker.options import DockerOptions
from ftsdk.backends.pai import Pai
from ftsdk.backends.sagemaker import SageMaker
from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.facts import platforms
from ftsdk.home import home_dir
from ftsdk.jobs import probing
from tests.backends.pai.account import ROLE, options
from tests.backends.sagemaker.account import image
from tests.backends.sagemaker.account import options as sagemaker_options
from tests.cli.test_cli import ftsdk
from tests.emulators.dlc import DlcCloud
from tests.emulators.sagemaker import KEYS, SageMakerCloud
from tests.golden import plans

SECRET = "tell-nobody-27182818"


def run(backend, **given):
    steps = []
    answers = probing.run(probing.prepare(backend, **given), secrets={}, on_step=steps.append)
    assert "RUNNING" in "".join(steps)
    assert answers["storage"]["put_if_absent"] == [True, False]
    assert answers["torch"]["right"] is True
    assert answers["machine"]["cpus"] >= 1
    assert platforms.of(platforms.kept(home_dir()), backend.name, _scope(backend))["probe"] == answers
    return answers


def _scope(backend):
    return getattr(backend.options, backend.scope_option) if backend.scope_option else ""


def test_local(tmp_path):
    """Through the command line: the price is printed, nothing starts without a yes, the answers can be saved."""
    command = ["doctor", "-b", "local", "--probe", "--save", str(tmp_path / "fixture.json"), "--json"]
    asked = ftsdk(*command)  # nobody answers
    assert asked.returncode == 130
    assert "for up to 5 minutes" in asked.stderr
    assert not (home_dir() / "jobs").exists()
    done = ftsdk(*command, "--yes")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert json.loads((tmp_path / "fixture.json").read_text()) == answers
    assert answers["stop"] == {"signal": "SIGTERM", "alive_s": probing.UNKILLED_S, "survived": True}
    assert answers["disks"]["/"]["total_gib"] > 1
    assert -1 < answers["log"]["delay_s"] < 30


@pytest.mark.docker
def test_docker():
    answers = run(Docker(DockerOptions(grace_s=6.0)))
    assert answers["user"]["writes"]["/tmp"] is True
    assert 2 < answers["stop"]["alive_s"] < 40
    assert "survived" not in answers["stop"]


@pytest.mark.docker
def test_pai(monkeypatch):
    cloud = DlcCloud()
    try:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        cloud.secrets["ftsdk/A_SECRET"] = SECRET
        answers = run(Pai(options(cloud, role=ROLE)), secrets=("A_SECRET",))
        assert answers["credentials"]["answers"] == answers["credentials"]["calls"] == 20
        assert answers["secrets"] == {"A_SECRET": True}
        assert 15 < answers["stop"]["alive_s"] < 40  # the option grace_s is 20 in the tests
        assert SECRET not in json.dumps(answers)
    finally:
        cloud.close()


@pytest.mark.docker
def test_sagemaker(monkeypatch):
    cloud = SageMakerCloud()
    try:
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        cloud.make_account()
        cloud.grace_s = 10
        answers = run(SageMaker(sagemaker_options(cloud, image=image())))
        assert answers["user"]["writes"]["/opt/ml"] is True
        assert 6 < answers["stop"]["alive_s"] < 30
    finally:
        cloud.close()


def test_plans_warn_of_what_a_probe_measured():
    found = {"stop": {"alive_s": 29.5}, "storage": {"put_if_absent": [True, True]}, "torch": {"error": "no kernel"}}
    platforms.keep(home_dir(), "pai", "cn-hangzhou", probe=found)
    facts = replace(plans.facts(), platforms=platforms.kept(home_dir()))
    from tests.golden.pai import backend

    made = backend().plan(plans.spec(resources={"accelerator": "A10"}), facts)
    for words in ("killed 30 s after SIGTERM", "overwrites an object", "torch did not work there: no kernel"):
        assert any(words in warning for warning in made.warnings), made.warnings
    elsewhere = backend(region="cn-beijing").plan(plans.spec(resources={"accelerator": "A10"}), facts)
    assert not any("probe" in warning for warning in elsewhere.warnings)


def test_a_fixture_has_no_account_numbers():
    text = probing.as_fixture({"role": "acs:ram::1234567890123456:role/x", "arn": "arn:aws:iam::123456789012:role/y"})
    assert "1234567890" not in text
    assert json.loads(text)["role"] == "acs:ram::ACCOUNT:role/x"


@pytest.mark.parametrize(("infra", "expected"), [("slurm/lab", 1), ("slurm/other", 0)])
def test_a_cluster_is_a_scope_of_its_own(infra, expected):
    platforms.keep(home_dir(), "skypilot", "slurm/lab", probe={"torch": {"error": "no kernel"}})
    facts = replace(plans.facts(), platforms=platforms.kept(home_dir()))
    made = SkyPilot(SkyPilotOptions(infra=(infra,), storage="/nfs/jobs")).plan(plans.spec(), facts)
    assert sum("no kernel" in warning for warning in made.warnings) == expected
