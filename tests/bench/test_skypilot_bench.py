"""The benchmark of commands on SkyPilot's jobs runs and reports; what it measures is not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests import slurm


@pytest.mark.skypilot
@pytest.mark.long
def test_the_skypilot_bench_writes_a_report(tmp_path):
    argv = [sys.executable, "-m", "bench", "skypilot", "--quick", "--results", str(tmp_path)]
    subprocess.run(argv, env={**os.environ, **slurm.ENVIRONMENT}, check=True, capture_output=True)
    report = json.loads(next(tmp_path.glob("skypilot-*.json")).read_text())
    assert {row["who"] for row in report["measures"][0]["rows"]} >= {"ftsdk status, running", "sky queue"}
