"""The vendor's own SDK, sagemaker 3.x, in an environment of its own: a gigabyte, made on first use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bench.launch.environments import ROOT, made
from tests.emulators.sagemaker import KEYS, SageMakerCloud


def python() -> Path:
    """An interpreter with the SDK, and with ftsdk as this checkout has it."""
    return made("sagemaker-sdk", ("--editable", f"{ROOT}[sagemaker,sagemaker-sdk]")) / "bin" / "python"


def run(cloud: SageMakerCloud, home: Path, *argv: str) -> str:
    """Run a program with the SDK in the emulated account; returns what it printed."""
    settings = {
        "HOME": str(home),
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_DEFAULT_REGION": KEYS["AWS_REGION"],
        "SAGEMAKER_VALIDATE_ROLE": "false",  # else the SDK asks IAM whether the role would do
    }
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [python(), *argv], env={**inherited, **KEYS, **settings}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
