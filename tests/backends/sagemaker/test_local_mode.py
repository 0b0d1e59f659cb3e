"""Our CreateTrainingJob request, run by the local mode of the vendor's own SDK, with a real training."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.backends.image import default_tag, derive
from ftsdk.backends.sagemaker.registry import OWNER
from ftsdk.facts import inspect
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny
from tests.backends.sagemaker import sdk
from tests.golden.sagemaker import backend

IMAGE = "ftsdk:test-local-mode"
DURABLE = "/opt/ml/model/durable"
"""The local mode brings back /opt/ml/model alone, and mounts nothing for checkpoints."""


@pytest.fixture
def root(tmp_path):
    """The folder of the SDK's Compose file; what that has started is removed in the end."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode and shutil.which("docker-compose") is None:
        pytest.skip("the SDK's local mode needs Docker Compose: apt-get install docker-compose")
    root = tmp_path / "root"
    root.mkdir()
    yield root
    compose = ["docker-compose"] if plugin.returncode else ["docker", "compose"]
    down = [*compose, "-f", str(root / "docker-compose.yaml"), "down"]
    subprocess.run(down, capture_output=True, check=False)


def downloaded(plan, folder: Path) -> dict[str, str]:
    """Folders with what the request's channels have in S3: channel -> folder here."""
    channels = {}
    for channel in plan.request["InputDataConfig"]:
        here = folder / channel["ChannelName"]
        here.mkdir(parents=True)
        channels[channel["ChannelName"]] = str(here)
        address = channel["DataSource"]["S3DataSource"]["S3Uri"]
        for upload in plan.uploads:
            if upload.target.startswith(address):
                target = here / (upload.target.removeprefix(address) or Path(address).name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(upload.source, target)
    return channels


@pytest.mark.long
@pytest.mark.docker
def test_the_sdk_s_local_mode_trains_what_we_request(tmp_path, root):
    derive(os.environ.get("FTSDK_TEST_IMAGE", default_tag("cpu")), IMAGE, OWNER)
    fields = tiny.spec_fields(tiny.make(tmp_path / "tiny"))
    spec = parse({**fields, "name": "local-mode", "hyperparameters": {"max_steps": 3}}, where="test")
    plan = backend(instance_type="ml.m5.xlarge").plan(spec, inspect(spec))
    channels = downloaded(plan, tmp_path / "channels")
    document = {**plan.document, "durable": DURABLE, "storage": {}}
    (Path(channels["job"]) / contract.JOB_FILE).write_text(json.dumps(document))
    asked = {"request": plan.request, "image": IMAGE, "channels": channels, "root": str(root)}
    program = Path(__file__).with_name("sdk_local_mode.py")
    done = subprocess.run([sdk.python(), program, json.dumps(asked)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    artifacts = done.stdout.rpartition("ARTIFACTS file://")[2].strip()
    with tarfile.open(artifacts) as archive:
        names = set(archive.getnames())
        outcome = json.load(archive.extractfile(f"durable/{contract.outcome_key(1, 0)}"))
    assert outcome["state"] == "SUCCEEDED"
    assert f"durable/model/{contract.COMMIT_FILE}" in names
