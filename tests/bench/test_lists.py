"""The benchmarks of watchers and lists run and report; the requests of a round do not depend on the number of jobs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUND = {"sagemaker": "(1 ListTrainingJobs)", "pai": "(2 ListJobs)"}


def measured(what, folder):
    argv = [sys.executable, "-m", "bench", what, "--quick", "--results", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob(f"{what}-*.json")
    (measure,) = json.loads(path.read_text())["measures"]
    return measure["rows"]


def test_a_list_of_jobs(tmp_path):
    assert [row["who"] for row in measured("jobs", tmp_path)] == ["ftsdk jobs", "ftsdk jobs --limit 20"]


@pytest.mark.long
def test_rounds_of_a_watcher(tmp_path):
    rows = measured("watch", tmp_path)
    assert len(rows) == 4
    for row in rows:
        assert row["note"].endswith(ROUND[row["who"].partition(",")[0]])
