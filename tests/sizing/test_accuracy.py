"""The estimates beside published runs: the project's documented bounds, also with each source left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sizing.__main__ import BEGIN, END, report
from bench.sizing.rows import DATA
from bench.sizing.validate import leave_one_out, leave_one_out_speed, memory_rows, speed_rows, summary

MEMORY = DATA / "memory_measured.csv"
SPEED = DATA / "throughput_measured.csv"
PAGE = Path(__file__).parents[2] / "docs" / "sizing.md"


@pytest.fixture(scope="module")
def exact():
    return memory_rows(MEMORY)


def test_memory_of_exactly_described_runs(exact):
    found = summary(exact)
    assert found.rows == 95
    assert found.median <= 0.12
    assert found.p90 <= 0.30
    assert found.under <= 0.05


def test_memory_without_offload_as_torch_counts_it(exact):
    plain = [row for row in exact if "torch" in row.row["mem_metric"] and "offload" not in row.row["parallelism"]]
    found = summary(plain)
    assert found.median <= 0.08
    assert found.p90 <= 0.20


def test_memory_with_each_source_left_out():
    found = summary(leave_one_out(MEMORY))
    assert found.rows == 95
    assert found.median <= 0.12
    assert found.p90 <= 0.30
    assert found.under <= 0.05


def test_runs_that_were_out_of_memory_are_called():
    out = [row for row in memory_rows(MEMORY, grades="ABCD") if row.measured_gib is None and row.fits != "unknown"]
    assert len(out) >= 9
    assert sum(row.fits != "yes" for row in out) >= 0.9 * len(out)


def test_runs_that_fitted_are_not_estimated_as_too_large(exact):
    assert not [row.row["id"] for row in exact if row.fits == "no"]


def test_speed_and_its_range():
    rows = speed_rows(SPEED)
    assert len(rows) == 272
    assert summary(rows).median <= 0.25
    assert sum(row.covered for row in rows) >= 0.8 * len(rows)


def test_speed_with_each_source_left_out():
    rows = leave_one_out_speed(SPEED)
    assert summary(rows).median <= 0.25
    assert sum(row.covered for row in rows) >= 0.8 * len(rows)


def test_the_page_shows_these_tables():
    shown = PAGE.read_text(encoding="utf-8").split(BEGIN, 1)[1].split(END, 1)[0]
    assert shown.strip() == report(MEMORY, SPEED).strip()
