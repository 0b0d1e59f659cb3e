"""Results in a folder that cannot hold them: a mount of object storage is refused in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.emulators import fuse

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the rules are a library of C")


def under_fuse(tmp_path, *argv):
    environ = {**os.environ, **fuse.environment(tmp_path, tmp_path / "mount")}
    return subprocess.run([sys.executable, *argv], env=environ, capture_output=True, text=True, check=False)


def test_a_job_is_not_started_where_attempts_cannot_be_claimed(spec_folder):
    (spec_folder / "mount").mkdir()
    for name in ("tokenizer.json", "model.safetensors"):
        (spec_folder / "model" / name).write_bytes(b"")
    spec = "model: ./model\ndataset: train.jsonl\noutput: ./mount\nhyperparameters: {template: default}\n"
    (spec_folder / "job.yaml").write_text(spec)
    done = under_fuse(spec_folder, "-m", "ftsdk", "submit", str(spec_folder / "job.yaml"), "-b", "local")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode != 0
    assert last.startswith("Error: ") and "no hard links" in last and "bucket" in last, done.stderr
    assert not list((spec_folder / "mount").rglob("outcome*"))


def test_the_rules_hold_below_the_folder_only(tmp_path):
    (tmp_path / "mount").mkdir()
    program = """
import os, pathlib, sys
def tried(act):
    try:
        act()
    except OSError as problem:
        return problem.strerror
    return "done"
for name in ("mount", "."):
    folder = pathlib.Path(sys.argv[1], name)
    (folder / "a").write_text("1")
    (folder / "b").write_text("2")
    append = os.O_WRONLY | os.O_APPEND
    print(tried(lambda: os.link(folder / "a", folder / "c")), tried(lambda: os.rename(folder / "a", folder / "b")),
          tried(lambda: os.open(folder / "b", append)), sep="; ")
"""
    first, second = under_fuse(tmp_path, "-c", program, str(tmp_path)).stdout.splitlines()
    assert first == "Function not implemented; File exists; Operation not supported"
    assert second == "done; done; done"


def test_a_file_is_copied_where_it_cannot_be_linked(tmp_path):
    (tmp_path / "mount").mkdir()
    (tmp_path / "source").write_bytes(b"data")
    program = """
import pathlib, sys
from ftsdk.runtime.storage.folder import FolderStore
root = pathlib.Path(sys.argv[1])
print(FolderStore(root / "mount").put_file("a/b", root / "source").bytes)
"""
    assert under_fuse(tmp_path, "-c", program, str(tmp_path)).stdout.split() == ["4"]
    assert (tmp_path / "mount" / "a" / "b").read_bytes() == b"data"
