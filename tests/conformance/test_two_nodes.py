"""Two containers on one network train one model, for a user that the image does not know."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from ftsdk import backends
from ftsdk.backends.image import default_tag
from ftsdk.facts import inspect
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import TWELVE_STEPS, in_durable_folder, new_label

pytestmark = [pytest.mark.docker, pytest.mark.trainer]
USER = os.getuid() or 23456


@pytest.fixture
def their_folder(monkeypatch):
    """A folder outside pytest's own, to which only root has access."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("FTSDK_HOME", f"{folder}/home")
        yield Path(folder)


def test_two_nodes_train_together(tiny_fields, their_folder):
    shutil.copytree(Path(tiny_fields["model"]).parent, their_folder / "tiny")
    _import_all({**tiny_fields, "name": new_label()})
    if os.getuid() == 0:
        for path in (their_folder, *their_folder.rglob("*")):
            os.chown(path, USER, USER)
    fields = {
        **tiny_fields,
        "name": new_label(),
        "model": str(their_folder / "tiny" / "model"),
        "dataset": str(their_folder / "tiny" / "train.json"),
        "hyperparameters": dict(TWELVE_STEPS),
        "env": {"OMP_NUM_THREADS": "1"},
        "resources": {"num_nodes": 2},
    }
    said = _as_user(lambda: _train(fields))
    assert said["state"] == "SUCCEEDED", said
    assert said["owners"] == [USER]
    assert said["steps"] == list(range(1, 13))
    assert said["losses"][-1] < said["losses"][0]
    assert said["nodes"] == [0, 1]
    assert "adapter_model.safetensors" in said["files"]
    assert said["left"] == ""


def _import_all(fields):
    """The user may not be able to read this Python's own folder: a job of this user imports all that is needed."""
    backend, plan = _plan(fields)
    job = submit(in_durable_folder(plan, "print('hello')"), backend, secrets={}, on_attach=lambda info: None)
    job.result(60)
    assert list(job.metrics()) == []


def _plan(fields):
    backend = backends.get("docker", {"image": default_tag("cpu")})
    spec = parse(fields, where="test")
    return backend, backend.plan(spec, inspect(spec))


def _train(fields):
    backend, plan = _plan(fields)
    job = submit(plan, backend, secrets={}, on_attach=lambda info: None)
    info = job.wait(300)
    made = [path for path in Path(plan.request["folder"]).rglob("*") if path.is_file()]
    points = [point for point in job.metrics() if "loss" in point]
    ours = ["--quiet", "--filter", f"label=ftsdk.name={plan.name}"]
    left = (["docker", "ps", "--all", *ours], ["docker", "network", "ls", *ours])
    return {
        "state": info.state,
        "message": info.message,
        "owners": sorted({path.stat().st_uid for path in made}),
        "steps": [point["step"] for point in points],
        "losses": [point["loss"] for point in points],
        "nodes": sorted({int(line.cursor.split(",")[0].split(".")[1]) for line in job.logs()}),
        "files": sorted(Job.attach(plan.uri).model().files) if info.exit_code == 0 else [],
        "left": "".join(subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in left),
    }


def _as_user(call):
    """Run a call in a child process of the user, who may talk to Docker, and return its JSON answer."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setgroups([Path("/var/run/docker.sock").stat().st_gid])
                os.setgid(USER)
                os.setuid(USER)
            answer = call()
        except BaseException as problem:
            answer = {"state": repr(problem)}
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        answer = json.load(said)
    os.waitpid(child, 0)
    return answer
