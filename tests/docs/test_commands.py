"""Every command in README.md and docs/ is run. How a page is run:

- Its blocks marked `bash` are run line by line, in their order, in a folder of the page's own with what its reader has:
  job.yaml (a spec), train.jsonl and eval.jsonl, model/, the examples of this project, and of LLaMA-Factory
  examples/train_lora/qwen3_lora_sft.yaml with its data/. Home (and so ~/.ftsdk) is the page's own too.
- `local://NAME` or `docker://some-name-0a1b2c3d` stands for the job that the page's last `ftsdk submit` printed.
- A line ends with exit code 0, or with what its comment `# exit code N` says.
- The commands in PARSED_ONLY are not run, for the reason given there; that they exist is checked.
- A page that says docker runs on Docker, one that says sagemaker or pai in an emulated account (on Docker, too).
- A page in another language (`pai.zh.md`) is not run: it has the same commands.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ftsdk.backends.image import default_tag
from ftsdk.backends.sagemaker import policies
from ftsdk.testing import tiny
from tests.backends.pai import account as pai
from tests.backends.sagemaker.account import image as sagemaker_image
from tests.backends.sagemaker.account import options, put_image
from tests.docs.pages import ROOT, Block, blocks, is_translation, pages
from tests.docs.test_snippets import unknown
from tests.emulators.dlc import DlcCloud
from tests.emulators.sagemaker import KEYS, SageMakerCloud

PARSED_ONLY = {
    r"^make\b": "CI runs `make test` itself; the others are its parts or take minutes",
    r"^ftsdk demo\b": "has its own test",
    r"^ftsdk image\b": "builds or pushes gigabytes; has its own test",
    r"^pip install\b": "needs a package index",
    r"^git tag\b": "changes this repository",
    r"\btwine upload\b": "publishes",
    r"^python -m bench\b": "takes minutes to an hour; has its own test",
    r"\bskypilot\b": "needs a cloud; tests/conformance and tests/examples do the same on Slurm",
    r"--to hf:": "needs a repository on the hub; tests/models push to one on loopback",
    r"^docker pull\b": "needs a registry",
    r"\bimage=": "needs an image that is not ours",
    r"^wandb\b": "needs an account",
    r"^ftsdk ui\b": "is a server that does not end; tests/page opens it in a browser",
    r"^tensorboard\b": "is a server that does not end",
}
JOB = re.compile(r"\b(?:local|docker|sagemaker|pai)://(?:NAME|(?:[a-z0-9-]+/)?[a-z0-9-]+-[0-9a-f]{8})\b")
EXIT_CODE = re.compile(r"# exit code (\d+)")

SPEC = """\
name: support-bot
model: ./model
method: sft
tuning: {type: lora, rank: 4}
dataset: {train: train.jsonl, eval: eval.jsonl}
hyperparameters: {max_steps: 4, cutoff_len: 64, logging_steps: 1, gradient_accumulation_steps: 1, seed: SEED}
"""
LLAMAFACTORY = """\
model_name_or_path: MODEL
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: identity
cutoff_len: 64
max_samples: 16
preprocessing_num_workers: 1
output_dir: saves/qwen3/lora/sft
overwrite_output_dir: true
plot_loss: true
report_to: none
logging_steps: 1
save_steps: 500
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 1.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
"""


def lines(block: Block) -> list[str]:
    """The commands of a block; a backslash joins lines."""
    joined = block.text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in joined if line.strip() and not line.strip().startswith("#")]


def reason_not_to_run(line: str) -> str | None:
    return next((why for pattern, why in PARSED_ONLY.items() if re.search(pattern, line)), None)


def found() -> list[object]:
    """A parameter for every page with commands; its marks say what they need."""
    parameters = []
    for page in pages():
        if is_translation(page):
            continue
        commands = [line for block in blocks(page, "bash") for line in lines(block)]
        run = [line for line in commands if not reason_not_to_run(line)]
        marks = [pytest.mark.docker] if any(re.search("docker|sagemaker|pai", line) for line in run) else []
        marks += [pytest.mark.trainer] if any(re.search("ftsdk submit|data preview", line) for line in run) else []
        if commands:
            parameters.append(pytest.param(page, marks=marks, id=page.relative_to(ROOT).as_posix()))
    return parameters


@pytest.fixture
def reader(tmp_path, tiny_folder):
    """A folder with what a page's reader has."""
    folder = tmp_path / "folder"
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "model").symlink_to(tiny_folder / "model")
    rows = json.loads((tiny_folder / "train.json").read_text())
    for name, part in (("train.jsonl", rows[16:]), ("eval.jsonl", rows[:16])):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in part))
    (folder / "job.yaml").write_text(SPEC.replace("SEED", str(secrets.randbits(31))))  # a job of this run's own
    (folder / "data").mkdir()
    shutil.copy(tiny_folder / "train.json", folder / "data" / "identity.json")
    (folder / "data" / "dataset_info.json").write_text('{"identity": {"file_name": "identity.json"}}')
    (folder / "examples" / "train_lora").mkdir()
    theirs = folder / "examples" / "train_lora" / "qwen3_lora_sft.yaml"
    theirs.write_text(LLAMAFACTORY.replace("MODEL", str(tiny_folder / "model")))
    return folder


@pytest.fixture
def environment(tmp_path):
    """A home of the page's own, and `ftsdk` and `python` as a reader has them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ftsdk").write_text(f"#!{sys.executable}\nfrom ftsdk.cli import main\nmain()\n")
    (programs / "ftsdk").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    (tmp_path / "home").mkdir()
    return {
        **{name: value for name, value in os.environ.items() if name != "FTSDK_HOME"},
        "HOME": str(tmp_path / "home"),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "FTSDK_LOCAL_PYTHON": tiny.TRAINER_PYTHON,
        "FTSDK_DOCKER_IMAGE": default_tag("cpu"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def account(page, environment, monkeypatch):
    """What a reader of a cloud's page has: an account there, and a token."""
    clouds = {"sagemaker.md": sagemaker_account, "pai.md": pai_account}
    cloud = clouds[page.name](environment) if page.name in clouds else None
    for name, value in cloud.environment.items() if page.name == "pai.md" else ():
        monkeypatch.setenv(name, value)  # the machines of the emulator are this process's
    yield
    if cloud:
        cloud.close()


def sagemaker_account(environment):
    """An account with a role."""
    cloud = SageMakerCloud()
    cloud.make_account()
    cloud.client("iam").create_role(RoleName="ftsdk", AssumeRolePolicyDocument=json.dumps(policies.TRUST))
    given = options(cloud, image=sagemaker_image())
    put_image(cloud, *given.image.partition("/")[2].split(":"))
    environment |= {**KEYS, "HF_TOKEN": "hf_x", "FTSDK_SAGEMAKER_INSTANCE_TYPE": ",".join(given.instance_type)}
    for name, value in given.model_dump(include={"role", "endpoint_url", "image"}).items():
        environment[f"FTSDK_SAGEMAKER_{name}".upper()] = value
    return cloud


def pai_account(environment):
    """An account with a workspace, a bucket and an image."""
    cloud = DlcCloud()
    environment |= {**cloud.environment, "HF_TOKEN": "hf_x"}
    for name, value in pai.options(cloud).model_dump(exclude_defaults=True).items():
        environment[f"FTSDK_PAI_{name}".upper()] = str(value)
    return cloud


@pytest.mark.parametrize("page", found())
def test_commands(page, reader, environment, account):
    jobs = []
    try:
        for block in blocks(page, "bash"):
            for line in lines(block):
                run_or_check(line, f"{block}: {line}", reader, environment, jobs)
    finally:
        for job in jobs:  # what still runs, ends; and its container, if it has one, is removed
            stop = f"ftsdk cancel {job}; ftsdk wait {job}"
            subprocess.run(["bash", "-c", stop], env=environment, capture_output=True, check=False)


def run_or_check(line: str, where: str, folder: Path, environment: dict[str, str], jobs: list[str]) -> None:
    if reason_not_to_run(line):
        check(line, where)
        return
    assert jobs or not JOB.search(line.partition(" #")[0]), f"{where}\nno `ftsdk submit` came before"
    said = run(JOB.sub(lambda match: jobs[-1] if jobs else match[0], line), folder, environment, where)
    if "ftsdk submit" in line:
        jobs.append(said.splitlines()[0])


def run(line: str, folder: Path, environment: dict[str, str], where: str) -> str:
    """Run a line; returns its stdout."""
    argv = ["bash", "-c", line]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    wanted = EXIT_CODE.search(line)
    assert done.returncode == (int(wanted[1]) if wanted else 0), f"{where}\n{done.stdout}{done.stderr}"
    return done.stdout


def check(line: str, where: str) -> None:
    """That what is not run exists: our command with its options, a target of the Makefile, else a valid line."""
    if line.startswith("ftsdk "):
        assert unknown(line) is None, where
    elif line.startswith("make "):
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert line.split("#")[0].split()[1] in targets, where
    else:
        assert subprocess.run(["bash", "-n", "-c", line], check=False).returncode == 0, where
