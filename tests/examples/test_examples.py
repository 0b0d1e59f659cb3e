"""Every program and spec in examples/, run in a shell as users do, with a tiny model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ftsdk.backends.image import default_tag
from ftsdk.testing import tiny
from tests import slurm
from tests.backends.sagemaker.account import image, options
from tests.emulators.sagemaker import KEYS, SageMakerCloud

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ("--set", "cutoff_len=64", "--set", "max_steps=4", "--set", "tuning.rank=4")
URI = re.compile(r"(?:local|docker)://[a-z0-9-]+-[0-9a-f]{8}")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def model(tiny_folder):
    return str(tiny_folder / "model")


@pytest.fixture(scope="module")
def run(home):
    """Run a command; returns what it wrote to stdout."""
    environment = {
        "FTSDK_HOME": str(home),
        "FTSDK_LOCAL_PYTHON": tiny.TRAINER_PYTHON,
        "FTSDK_DOCKER_IMAGE": default_tag("cpu"),
        "OMP_NUM_THREADS": "1",
    }

    def run_command(*command):
        done = subprocess.run(
            command, env={**os.environ, **environment}, cwd=home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run_command


@pytest.fixture(scope="module")
def quickstart(run, model):
    """The output of quickstart.py."""
    return run(sys.executable, EXAMPLES / "quickstart.py", "--model", model, "--steps", "4", "--cutoff-len", "64")


def ftsdk(*arguments):
    return sys.executable, "-c", "from ftsdk.cli import main; main()", *arguments


def test_every_example_is_tested():
    told = Path(__file__).read_text("utf-8")
    assert all(path.name in told for path in EXAMPLES.iterdir() if path.suffix in (".py", ".yaml"))


@pytest.mark.trainer
def test_quickstart_trains_and_shows_every_step(quickstart, home):
    assert re.findall(r"step (\d)/4: loss \d", quickstart) == ["1", "2", "3", "4"]
    name = URI.findall(quickstart)[-1].rpartition("/")[2]
    assert (home / "jobs" / "local" / name / "model" / "adapter_config.json").is_file()


@pytest.mark.long  # docs/pipelines.md runs it in the default suite
@pytest.mark.trainer
def test_pipeline_measures_and_goes_on(run, model):
    steps = [item for name in ("sft", "evaluate", "dpo") for item in ("--set", f"{name}.hyperparameters.max_steps=2")]
    found = json.loads(run(*ftsdk("run", EXAMPLES / "pipeline.yaml", "--set", f"sft.model={model}", *steps, "--json")))
    assert [job["state"] for job in found["jobs"]] == ["SUCCEEDED"] * 3


@pytest.mark.long  # docs/studies.md trains two in the default suite
@pytest.mark.trainer
def test_sweep_trains_three_learning_rates_and_ranks_them(run, model):
    only = ("--set", f"model={model}", *SMALL, "--set", "max_steps=2", "--json")
    found = json.loads(run(*ftsdk("sweep", EXAMPLES / "sweep.yaml", *only)))
    assert [job["state"] for job in found["jobs"]] == ["SUCCEEDED"] * 3
    values = [job["value"] for job in found["jobs"]]
    assert len(set(values)) == 3
    assert found["best"]["value"] == min(values)


@pytest.mark.trainer
def test_attach_and_plot_draws_a_job_of_another_process(quickstart, run, tmp_path):
    uri = URI.findall(quickstart)[-1]
    said = run(sys.executable, EXAMPLES / "attach_and_plot.py", uri, "--wait", "--png", tmp_path / "loss.png")
    assert f"{uri}: SUCCEEDED, attempt 1" in said
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.trainer
def test_interrupt_and_resume_misses_no_step(run, model):
    program = EXAMPLES / "interrupt_and_resume.py"
    size = ("--steps", "200", "--stop-after", "3", "--cutoff-len", "64")
    said = run(sys.executable, program, "--model", model, *size)
    assert "Attempt 1: CANCELLED. Cancelled as requested. The state of step" in said
    assert "Attempt 2: SUCCEEDED." in said
    assert "Logged steps: 1 to 200, missing: none" in said


@pytest.mark.trainer
def test_survive_preemption_retries_without_help(run, model):
    program = EXAMPLES / "survive_preemption.py"
    said = run(sys.executable, program, "--model", model, "--steps", "60", "--after", "3", "--cutoff-len", "64")
    assert "Attempt 1 ended with 'preempted': retry 1 of 3." in said
    assert "Attempt 2: SUCCEEDED" in said
    assert "Logged steps: 1 to 60, missing: none" in said


@pytest.mark.trainer
def test_chain_sft_dpo_starts_the_second_from_the_first(run, model):
    program = EXAMPLES / "chain_sft_dpo.py"
    said = run(sys.executable, program, "--model", model, "--steps", "4", "--cutoff-len", "64")
    sft, dpo = URI.findall(said)
    assert sft.rpartition("/")[2] in said.rpartition("an adapter on ")[2]
    assert dpo.startswith("local://chain-dpo-")


@pytest.mark.docker
@pytest.mark.trainer
@pytest.mark.long
def test_whole_life_deploys_a_model_that_answers(run, model):
    program = EXAMPLES / "whole_life.py"
    said = run(sys.executable, program, "--model", model, "--steps", "4", "--deploy", "docker")
    assert re.search(r"Loss \d.*: (better|worse|same)", said)
    assert "Deployed: docker://deployments/whole-life answers" in said
    assert json.loads(run(*ftsdk("deployments", "--json"))) == []


@pytest.mark.trainer
def test_quickstart_yaml_trains(run, model):
    said = run(*ftsdk("submit", EXAMPLES / "quickstart.yaml", "--set", f"model={model}", *SMALL, "--follow"))
    assert said.startswith("local://quickstart-")


SAMPLED = ("--set", "method.max_completion_length=8", "--set", "max_steps=2", "--set", "tuning.rank=4")


@pytest.mark.trainer
def test_grpo_yaml_scores_answers_with_built_ins_and_reward_py(run, model):
    """The function is in reward.py."""
    said = run(*ftsdk("submit", EXAMPLES / "grpo.yaml", "--set", f"model={model}", *SAMPLED, "--follow"))
    metrics = json.loads(run(*ftsdk("metrics", URI.findall(said)[-1], "--json")))
    assert [record["step"] for record in metrics if "reward" in record] == [1, 2]


@pytest.mark.docker
@pytest.mark.trainer
@pytest.mark.long
def test_grpo_yaml_trains_in_a_container(run, model):
    changes = (*SAMPLED, "--set", f"model={model}")
    said = run(*ftsdk("submit", EXAMPLES / "grpo.yaml", "--backend", "docker", *changes, "--follow"))
    assert said.startswith("docker://grpo-arithmetic-")


@pytest.mark.docker
@pytest.mark.trainer
def test_docker_sft_yaml_trains_in_a_container(run, model):
    changes = (*SMALL, "--set", f"model={model}")
    said = run(*ftsdk("submit", EXAMPLES / "docker_sft.yaml", "--backend", "docker", *changes, "--follow"))
    assert said.startswith("docker://docker-sft-")


@pytest.mark.docker
@pytest.mark.trainer
def test_sagemaker_spot_yaml_trains_in_an_emulated_account(run, model, monkeypatch):
    cloud = SageMakerCloud()
    cloud.make_account()
    given = options(cloud, image=image()).model_dump(include={"role", "endpoint_url", "image"})
    for name, value in given.items():
        monkeypatch.setenv(f"FTSDK_SAGEMAKER_{name}".upper(), value)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    spec = EXAMPLES / "sagemaker_spot.yaml"
    changes = (*SMALL, "--set", f"model={model}", "--set", "bf16=false")  # the emulator's machine has no GPU
    try:
        said = run(*ftsdk("submit", spec, "--backend", "sagemaker", *changes, "--follow"))
        assert next(iter(cloud.jobs.values())).request["EnableManagedSpotTraining"]
    finally:
        cloud.close()
    assert said.startswith("sagemaker://us-west-2/sagemaker-spot-")


@pytest.mark.skypilot
@pytest.mark.trainer
@pytest.mark.long
def test_skypilot_spot_yaml_trains_on_slurm(run, model, monkeypatch):
    given = {"infra": slurm.SPOT, "storage": slurm.BASE / "shared", "python": tiny.TRAINER_PYTHON}
    for name, value in {**given, "sky_python": slurm.PYTHON, "accelerators": "H100", "managed": "false"}.items():
        monkeypatch.setenv(f"FTSDK_SKYPILOT_{name}".upper(), str(value))
    for name, value in slurm.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    changes = (*SMALL, "--set", f"model={model}", "--set", "bf16=false")  # pretended GPUs
    said = run(*ftsdk("submit", EXAMPLES / "skypilot_spot.yaml", "--backend", "skypilot", *changes, "--follow"))
    assert said.startswith("skypilot://slurm/ftlocal/spot/skypilot-spot-")


def test_pai_spot_yaml_is_planned(run):
    given = {"workspace_id": 46099, "region": "cn-hangzhou", "bucket": "ours", "image": "registry/ours/ftsdk:1"}
    options = [word for key, value in given.items() for word in ("-o", f"{key}={value}")]
    options += ["-o", "spot_discount_limit=0.8"]
    plan = json.loads(run(*ftsdk("plan", EXAMPLES / "pai_spot.yaml", "--backend", "pai", *options, "--json")))
    (worker,) = plan["request"]["JobSpecs"]
    assert worker["EcsSpec"] == "ecs.gn7i-c8g1.2xlarge"
    assert worker["SpotSpec"] == {"SpotStrategy": "SpotWithPriceLimit", "SpotDiscountLimit": 0.8}
    assert plan["uri"].startswith("pai://cn-hangzhou/pai-spot-")
