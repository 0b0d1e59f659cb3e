"""What SkyPilot copies: single files, so that a folder's .gitignore leaves none out and links bring what they name."""

import json
import shutil
import subprocess

import pytest

from ftsdk import Estimator
from ftsdk.backends.skypilot.sdk import _without_links


@pytest.fixture
def mounts(spec_folder, monkeypatch):
    monkeypatch.setenv("FTSDK_HOME", str(spec_folder / "home"))
    blob = spec_folder / "blobs" / "abc"
    blob.parent.mkdir()
    blob.write_bytes(b"weights")
    (spec_folder / "model" / "model.safetensors").symlink_to(blob)
    (spec_folder / "model" / ".gitignore").write_text("*.safetensors\n")
    (spec_folder / "model" / ".git").mkdir()
    (spec_folder / "model" / ".git" / "pack").write_bytes(b"weights again")

    def planned():
        plan = Estimator(
            model="./model",
            dataset="train.jsonl",
            folder=spec_folder,
            backend="skypilot",
            options={"storage": "s3://b"},
        ).plan()
        inputs = {file["path"] for file in plan.document["inputs"]}
        return plan.request["task"]["file_mounts"], inputs

    return planned


def test_every_input_is_copied_by_its_own_name(mounts):
    files, inputs = mounts()
    assert inputs <= set(files)
    assert {path.rpartition("/")[2] for path in inputs} == {"config.json", "model.safetensors", "train.jsonl"}


def test_a_link_is_copied_as_the_file_that_it_names(mounts, spec_folder):
    task = _without_links({"name": "a", "file_mounts": mounts()[0]})
    sources = {target.rpartition("/")[2]: source for target, source in task["file_mounts"].items()}
    assert sources["model.safetensors"] == str(spec_folder / "blobs" / "abc")
    assert json.dumps(task)


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_rsync_leaves_no_single_file_out(mounts, tmp_path):
    """With the filter that SkyPilot 0.14 gives rsync for a folder that is no git repository."""
    for target, source in mounts()[0].items():
        if "/inputs/" in target:
            copy = tmp_path / "node" / target.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            command = ["rsync", "-az", "--copy-links", "--filter=dir-merge,- .gitignore", source, str(copy)]
            subprocess.run(command, check=True)
            assert copy.is_file()
