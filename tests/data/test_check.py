"""Planted faults are found, all of them and nothing else."""

import json
import random
from collections import defaultdict
from pathlib import Path

import pytest

from ftsdk.data.check import check
from ftsdk.data.report import CODES
from ftsdk.errors import DataError
from tests.data import planting
from tests.data.planting import CLEAN, clean_rows, dumped, field_faults, planted, sentence

EXACT = {code for code, (_, exact, _) in CODES.items() if exact}


def write(path: Path, rows) -> Path:
    path.write_bytes(b"".join((row if isinstance(row, bytes) else dumped(row)) + b"\n" for row in rows))
    return path


def found_rows(report, *, file=None):
    rows = defaultdict(set)
    for finding in report.findings:
        if finding.code in EXACT and finding.row is not None and (file is None or finding.file == str(file)):
            rows[finding.row].add(finding.code)
    return dict(rows)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", CLEAN)
def test_planted_faults_are_found_exactly(tmp_path, shape, seed):
    made = planted(shape, seed)
    path = tmp_path / "train.jsonl"
    path.write_bytes(made.content)
    report = check([path], method=CLEAN[shape][0])
    assert found_rows(report) == made.expected
    assert report.num_rows == sum(1 for line in made.lines if line)


@pytest.mark.parametrize("shape", CLEAN)
def test_each_fault_alone(tmp_path, shape):
    rows = clean_rows(shape, 20, 7)
    for name, (code, fault) in (planting.TEXT_FAULTS | field_faults(shape)).items():
        lines = [dumped(row) for row in rows]
        lines[12] = fault(random.Random(name), rows[12])
        report = check([write(tmp_path / "train.jsonl", lines)], method=CLEAN[shape][0])
        assert found_rows(report) == {13: {code}}, name
        assert report.verdict == "fail", name


@pytest.mark.parametrize("shape", CLEAN)
def test_clean_rows_pass(tmp_path, shape):
    report = check([write(tmp_path / "train.jsonl", clean_rows(shape, 150, 1))], method=CLEAN[shape][0])
    assert report.findings == ()
    assert report.verdict == "pass"
    assert json.loads(json.dumps(report.to_dict()))["num_rows"] == 150
