"""Our DLC request, run by the local executor of Alibaba Cloud's own SDK, in the image that a DLC job has."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.launch.environments import made
from ftsdk import contract
from ftsdk.backends.image import default_tag, derive
from ftsdk.facts import inspect
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny
from tests.backends.sagemaker.account import OWNER
from tests.golden.pai import backend

ALIPAI = ("alipai==0.4.13", "docker")
IMAGE = "ftsdk:test-alipai"
INPUTS = "/ml/input/data"
"""Where alipai mounts inputs, and DLC mounts them where the request says."""


def mounted(plan, folder: Path) -> dict[str, str]:
    """Folders with what the request's data sources hold: mount path -> folder here."""
    folders = {}
    for number, source in enumerate(plan.request["DataSources"]):
        here = folder / f"source-{number}"
        here.mkdir(parents=True)
        folders[source["MountPath"]] = str(here)
        address = "oss://" + source["Uri"].removeprefix("oss://").replace(
            ".oss-cn-hangzhou-internal.aliyuncs.com", "", 1
        )
        for upload in plan.uploads:
            if upload.target.startswith(address):
                target = here / upload.target.removeprefix(address)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(upload.source, target)
    return folders


def command_of(plan, folders: dict[str, str]) -> str:
    """The request's command and variables, after its mounts are where it expects them."""
    links = [
        f"mkdir -p {Path(path).parent} && ln -s {INPUTS}/{Path(here).name} {path}" for path, here in folders.items()
    ]
    variables = [f"export {name}={shlex.quote(value)}" for name, value in plan.request["Envs"].items()]
    return "\n".join(["set -e", *links, *variables, plan.request["UserCommand"], ""])


@pytest.mark.long
@pytest.mark.docker
def test_alipai_trains_what_we_request(tmp_path):
    derive(os.environ.get("FTSDK_TEST_IMAGE", default_tag("cpu")), IMAGE, OWNER)
    fields = tiny.spec_fields(tiny.make(tmp_path / "tiny"))
    spec = parse({**fields, "name": "alipai", "hyperparameters": {"max_steps": 3}}, where="test")
    plan = backend(image=IMAGE, ecs_spec="ecs.g7.2xlarge").plan(spec, inspect(spec))
    folders = mounted(plan, tmp_path / "inputs")
    document = {**plan.document, "durable": "/ml/output/model", "storage": {}}
    job = Path(folders[str(Path(plan.request["Envs"][contract.ENV_JOB]).parent)])
    (job / contract.JOB_FILE).write_text(json.dumps(document))
    (tmp_path / "source").mkdir()
    asked = {
        "image": IMAGE,
        "command": command_of(plan, folders),
        "source": str(tmp_path / "source"),
        "inputs": {Path(here).name: here for here in folders.values()},
    }
    python = made("alipai", ALIPAI) / "bin" / "python"
    program = Path(__file__).with_name("alipai_local.py")
    done = subprocess.run([python, program, json.dumps(asked)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    output = Path(done.stdout.rpartition("OUTPUT ")[2].strip())
    assert (output / "model" / contract.COMMIT_FILE).is_file()
    assert json.loads((output / contract.outcome_key(1, 0)).read_text())["state"] == "SUCCEEDED"
