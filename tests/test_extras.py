"""All extras can be installed together, on every Python that we name: what pip would install, without installing it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SOURCE_ONLY = ("rouge-score",)
"""Without a wheel, so pip cannot plan it for another Python."""
CLIENTS = {"alibabacloud-pai-dlc20201203", "boto3", "sagemaker", "skypilot", "obstore", "wandb", "matplotlib"}


def requirements(extra: str) -> set[str]:
    """What an extra asks for, with what it takes of other extras."""
    found: set[str] = set()
    for line in EXTRAS[extra]:
        if line.startswith("ftsdk["):
            found |= {one for name in line.removeprefix("ftsdk[").rstrip("]").split(",") for one in requirements(name)}
        else:
            found.add(line)
    return found


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_all_extras_go_together(version, tmp_path):
    named = {*PROJECT["dependencies"], *requirements("all")}
    (tmp_path / "requirements.txt").write_text("\n".join(one for one in named if not one.startswith(SOURCE_ONLY)))
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    argv += ["--only-binary=:all:", "--python-version", version, "--target", str(tmp_path / "none")]
    argv += ["--requirement", str(tmp_path / "requirements.txt"), "--report", str(tmp_path / "report.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "report.json").read_text())["install"]
    assert {one["metadata"]["name"].lower() for one in made} >= CLIENTS
