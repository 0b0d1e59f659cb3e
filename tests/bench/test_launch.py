"""The launcher's benchmark runs and reports; what it measures is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_quick_run_measures_ftsdk_and_writes_both_reports(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (data,) = (json.loads(path.read_text()) for path in tmp_path.glob("launch-*.json"))
    rows = {(measure["title"].split()[0], row["who"]): row for measure in data["measures"] for row in measure["rows"]}
    assert {
        ("Help", "ftsdk --help"),
        ("Import", "import ftsdk"),
        ("Plans", "ftsdk, docker"),
        ("A", "ftsdk"),
        ("Printing", "ftsdk"),
        ("Reading", "ftsdk"),
        ("Following", "ftsdk"),
    } <= rows.keys()
    assert all(row["wall_s"] > 0 for row in rows.values())
    for verb in ("Reading", "Following"):
        assert rows[verb, "ftsdk"]["note"].startswith("2,005 lines")  # five are events of the supervisor's own
    (page,) = tmp_path.glob("launch-*.md")
    assert "| ftsdk --help |" in page.read_text()


def test_a_quick_run_stages_and_then_sends_nothing(tmp_path):
    argv = [sys.executable, "-m", "bench", "staging", "--quick", "--results", str(tmp_path)]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (data,) = (json.loads(path.read_text()) for path in tmp_path.glob("staging-*.json"))
    for measure in data["measures"]:
        assert [row["who"] for row in measure["rows"]] == ["ftsdk, first", "ftsdk, second"]
    assert len(list(tmp_path.glob("staging-*.md"))) == 1
