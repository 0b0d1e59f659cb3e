"""The table of engines says of each combination where it ran: exactly what the tests here train."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ftsdk import engines
from ftsdk.engines.capabilities import Capability, EngineTable, shared_lines
from ftsdk.errors import UnsupportedError
from ftsdk.spec.loading import parse
from ftsdk.spec.method import STAGES
from ftsdk.spec.tuning import TUNINGS
from tests.methods import test_sampling, test_table
from tests.runtime.programs import test_adapter_kinds

NAMES = {"method": "stage", "tuning": "type"}


def kinds(cell):
    """(method, tuning) of a cell."""
    return tuple(
        part if isinstance(part, str) else part[NAMES[name]] for name, part in zip(NAMES, cell[:2], strict=True)
    )


def spec(**fields):
    rewards = {"rewards": ["math_answer"]} if fields.get("method") in ("grpo", "ppo") else {}
    method = {"stage": fields.pop("method", "sft"), **rewards}
    return parse({"model": "a/b", "dataset": "rows.jsonl", "method": method, **fields}, where="test")


def ran(where):
    return {(row.method, row.tuning) for row in engines.capabilities() if row.ran == where}


def test_cells_that_the_table_calls_tested_are_those_that_tests_train():
    daily = {kinds(cell) for cell in (*test_table.METHODS.values(), *test_table.TUNINGS.values())}
    daily |= {kinds(cell) for cell in test_sampling.CELLS.values()} | {("ppo", "lora")}  # judged by a model of ours
    daily |= {("sft", name.split()[0]) for name in test_adapter_kinds.OF_OUR_OWN}
    rare = (*test_table.FULL.values(), *test_table.FAMILY.values(), *test_sampling.MORE_CELLS.values())
    long = {kinds(cell) for cell in rare} - daily
    assert ran("CPU test") == daily
    assert ran("long CPU test") == long
    assert ran("GPU measured") == set()


def test_every_method_and_every_tuning_has_a_row():
    rows = engines.capabilities()
    assert {row.method for row in rows} == set(STAGES)
    assert {row.tuning for row in rows} == set(TUNINGS)
    assert {row.engine for row in rows} == set(engines.ENGINES)
    assert len({(row.method, row.tuning, row.modality, row.engine) for row in rows}) == len(rows)


def test_auto_takes_the_first_engine_that_can_and_a_name_is_kept():
    assert engines.chosen(spec()).NAME == "llamafactory"
    assert engines.chosen(spec(method="grpo")).NAME == engines.chosen(spec(method="grpo", engine="trl")).NAME == "trl"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"engine": "trl"}, "engine trl does not train sft with lora: use llamafactory, or leave it out."),
        (
            {"method": "grpo", "tuning": "freeze"},
            "tuning freeze cannot be used with grpo: use one of the tunings full, lora, qlora, oft, or one of ",
        ),
        (
            {"method": "ppo", "sharding": "zero3"},
            "sharding zero3 cannot be used with ppo: use ddp, or one of the methods grpo, ",
        ),
    ],
)
def test_a_combination_without_an_engine_names_the_nearest_one(fields, says):
    with pytest.raises(UnsupportedError) as refused:
        engines.chosen(spec(**fields))
    assert says in str(refused.value)


def test_a_spec_that_names_no_engine_is_written_as_before():
    assert "engine" not in spec().model_dump()
    assert spec(engine="llamafactory").model_dump()["engine"] == "llamafactory"


def test_rows_that_differ_in_tuning_and_modality_share_a_line():
    table = EngineTable(
        engine="e", methods=("a", "b"), tunings=("x", "y"), modalities=("text", "image"),
        tested=frozenset({("a", "x")}), tested_long=frozenset(),
    )  # fmt: skip
    lines = [(line.method, line.tunings, line.modalities, line.ran) for line in shared_lines(table.rows())]
    assert lines == [
        ("a", "x", "text", "CPU test"),
        ("a", "y", "text", "rendered only"),
        ("a", "x, y", "image", "rendered only"),
        ("b", "x, y", "text, image", "rendered only"),
    ]


def ftsdk(*arguments):
    command = [sys.executable, "-c", "from ftsdk.cli import main; main()", "methods", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_lists_filters_and_refuses():
    assert max(map(len, ftsdk().stdout.splitlines())) <= 80
    rows = [Capability(**row) for row in json.loads(ftsdk("--method", "sft", "--tuning", "oft", "--json").stdout)]
    assert {(row.method, row.tuning) for row in rows} == {("sft", "oft")}
    assert {row.modality for row in rows} == {"text", "image", "video", "audio"}
    wrong = ftsdk("--tuning", "qlra")
    assert wrong.returncode == 2
    assert "did you mean 'qlora'" in wrong.stderr
    assert "lists everything" in ftsdk("--method", "grpo", "--modality", "image").stderr
