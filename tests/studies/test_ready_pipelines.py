"""The ready-made pipelines: planned as they are, and really trained with a tiny model."""

import json
import signal
import subprocess
import sys

import pytest
import yaml

from ftsdk.recipes import catalogue
from ftsdk.studies.pipelines import reading
from tests.cli.test_cli import ftsdk as command
from tests.methods import data

NAMES = [path.stem for path in catalogue.pipelines()]
FILES = {"corpus": "text", "train": "instruction", "eval": "instruction", "preferences": "pairs"}
SMALL = {"max_steps": 2, "cutoff_len": 64, "logging_steps": 1, "per_device_train_batch_size": 2}
SMALL |= {"gradient_accumulation_steps": 1}
CLOUD = {"role": "arn:aws:iam::123456789012:role/ftsdk", "region": "us-west-2"}
FOLLOW = [sys.executable, "-c", "from ftsdk.cli import main; main()"]


@pytest.fixture
def folder(tmp_path):
    """What the ready-made pipelines read, in few rows."""
    data.write(tmp_path, set(FILES.values()))
    for name, kind in FILES.items():
        (tmp_path / f"{name}.jsonl").write_bytes((tmp_path / f"{kind}.jsonl").read_bytes())
    prompts = [{"prompt": f"What is {i} and {i}?", "answer": str(2 * i)} for i in range(128)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    return tmp_path


def small(name, model):
    """Settings with which a ready-made pipeline trains a tiny model for two steps each."""
    yield "defaults.resources={}"
    for step, fields in yaml.safe_load(catalogue.path_of(name).read_text())["steps"].items():
        if "://" not in fields["model"]:
            yield f"{step}.model={model}"
        method = fields.get("method")
        samples = isinstance(method, dict) and method["stage"] in ("ppo", "grpo")
        if "hyperparameters" in fields:
            own = {key: value for key, value in SMALL.items() if not (samples and key == "cutoff_len")}
            yield from (f"{step}.hyperparameters.{key}={value}" for key, value in own.items())
        if isinstance(method, dict) and "max_completion_length" in method:
            yield f"{step}.method.max_completion_length=8"
            if method["stage"] == "grpo":
                yield f"{step}.method.num_generations=2"
        if "max_new_tokens" in fields.get("program", ()):
            yield f"{step}.program.max_new_tokens=8"


@pytest.mark.parametrize("name", NAMES)
def test_a_ready_pipeline_is_planned_whole(name, folder):
    loaded = reading.load(name)
    pipeline = loaded.pipeline.model_copy(update={"backend": "sagemaker"})
    made = pipeline.plan(folder=folder, options=CLOUD)
    assert all(step.early is not None for step in made.steps)
    assert all(step.hours() for step in made.steps if step.step.spec.method.stage in ("pt", "sft", "dpo", "rm")
               and step.step.spec.program.type == "train")  # fmt: skip
    assert catalogue.path_of(name).read_text().startswith("# ")


@pytest.mark.long
@pytest.mark.trainer
@pytest.mark.parametrize("name", NAMES)
def test_a_ready_pipeline_trains_though_its_watcher_is_killed_in_each_step(name, folder, tiny_folder, monkeypatch):
    monkeypatch.chdir(folder)
    settings = [item for change in small(name, tiny_folder / "model") for item in ("--set", change)]
    steps = len(reading.load(name).pipeline.steps)
    for number in range(steps):
        watcher = subprocess.Popen([*FOLLOW, "run", name, *settings], stderr=subprocess.PIPE, text=True)
        while f"{number + 1}/{steps} " not in (line := watcher.stderr.readline()) or "submitted" not in line:
            if not line:
                break
        watcher.send_signal(signal.SIGKILL)
        watcher.communicate()
    done = command("run", name, *settings, "--json")
    assert done.returncode == 0, done.stderr
    jobs = json.loads(done.stdout)["jobs"]
    assert [job["state"] for job in jobs] == ["SUCCEEDED"] * steps, done.stderr
