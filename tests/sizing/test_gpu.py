"""The GPU benchmark: its cases, and a dry run of everything but the GPU."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.gpu import cases, dry_cases, key_of, run_case, step_of_case
from ftsdk.sizing.memory.terms import memory_of

ROOT = Path(__file__).parents[2]


def test_every_case_is_distinct_and_has_a_shape_and_an_estimate():
    found = list(cases())
    assert len({key_of(asdict(case)) for case in found}) == len(found) > 50
    for case in found:
        assert not step_of_case(case).shape.notes
        assert 2 < memory_of(step_of_case(case)).total_gib < 400


@pytest.mark.trainer
def test_a_case_is_trained_and_only_real_tokens_count():
    found = run_case(next(case for case in dry_cases() if not case.packing), "cpu")
    assert found.outcome == "ok"
    assert found.tokens_per_s > 0
    assert 0.1 < found.real_share < 1
    assert "torch" in found.versions


@pytest.mark.long
@pytest.mark.trainer
def test_a_dry_run_measures_and_a_second_one_has_nothing_left_to_do(tmp_path):
    command = [sys.executable, "-m", "bench.gpu", "--dry-run", "--csv", str(tmp_path / "dry.csv")]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    measured = (tmp_path / "dry.csv").read_text()
    rows = list(csv.DictReader(measured.splitlines()))
    assert [row["outcome"] for row in rows] == ["ok"] * len(list(dry_cases()))
    assert all(float(row["tokens_per_s"]) > 0 and row["versions"] for row in rows)
    padded = next(row for row in rows if row["packing"] == "False")
    assert float(padded["real_share"]) < 1
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (tmp_path / "dry.csv").read_text() == measured
    assert again.stdout == first.stdout
