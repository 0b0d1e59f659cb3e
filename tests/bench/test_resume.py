"""The benchmarks of interruptions run and report; what they measure is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.launch.report import machine
from bench.resume import judge, table
from bench.resume.campaign import Blow, Reference, Story
from bench.resume.setups import BY_NAME
from ftsdk.testing.faults import Strike

ROOT = Path(__file__).parents[2]
SETUP = BY_NAME["local, LoRA with dropout"]


def blow(**changed):
    struck = {
        "kind": "kill", "what": "SIGKILL to the supervisor", "at": 1.0, "attempt": 1, "step": 33, "state": "FAILED",
        "reason": "killed", "message": "", **changed.pop("strike", {}),
    }  # fmt: skip
    given = {"during": "training", "start": 0, "survivors_s": 0.1, "orphans": 0, "lost_steps": 13, **changed}
    return Blow(strike=Strike(**struck), **given)


@pytest.mark.trainer
def test_a_quick_run_measures_both_programs(tmp_path):
    argv = [sys.executable, "-m", "bench", "resume", "--quick", "--results", str(tmp_path)]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (data,) = (json.loads(path.read_text()) for path in tmp_path.glob("resume-*.json"))
    assert [one["who"] for one in data["runs"]] == ["ftsdk", "LLaMA-Factory"]
    assert all(len(one["ends"]) == 6 for one in data["runs"])
    assert [len(one["publishes"]) for one in data["runs"]] == [2, 0]
    (page,) = tmp_path.glob("resume-*.md")
    assert "| ftsdk |" in page.read_text()


def test_the_campaigns_table_counts_by_setup_and_kind(tmp_path):
    blows = [blow(), blow(lost_steps=None, during="start"), blow(strike={"kind": "term"}, lost_steps=0)]
    blows.append(blow(strike={"kind": "term", "state": "SUCCEEDED"}, lost_steps=None))
    told = Story(setup=SETUP, seed=5, blows=blows, violations=["the weights differ"], seconds=12.3)
    page = table.write([told], {"ftsdk": "1"}, machine(), tmp_path)
    text = page.read_text()
    assert "4 harms to 1 trainings, 1 violations: 3 ended an attempt or a start of one, 0 were outages" in text
    assert "| local, LoRA with dropout | 4 | 1 | 2 | 6.5 | 13 | 0 | 0.1 |" in text
    assert "| term | 2 | 0 | 1 | 0 | 0 | 0 | 0.1 |" in text
    assert "local, LoRA with dropout, seed 5: the weights differ" in text
    assert json.loads(page.with_suffix(".json").read_text())["stories"][0]["blows"][0]["lost_steps"] == 13


@pytest.mark.parametrize(
    ("one", "fault"),
    [
        (blow(lost_steps=21), "21 steps were done again"),
        (blow(lost_steps=2, strike={"kind": "term"}), "2 steps were done again"),
        (blow(orphans=2), "2 processes lived on"),
        (blow(strike={"reason": "error", "message": "odd"}), "ended as error: odd"),
        (blow(strike={"reason": "disk_full"}), "ended as disk_full"),
    ],
)
def test_what_must_not_be_is_seen(one, fault):
    (said,) = judge.faults(SETUP, one)
    assert fault in said


def test_what_may_be_is_no_fault():
    assert not list(judge.faults(SETUP, blow(lost_steps=20)))
    assert not list(judge.faults(SETUP, blow(lost_steps=25, while_publishing=5)))
    assert not list(judge.faults(SETUP, blow(strike={"kind": "fill-disk", "reason": "disk_full"})))


@pytest.mark.parametrize(
    ("digest", "changed", "faults"),
    [("a", {}, 0), ("b", {}, 1), ("a", {"loss": 0.5000001}, 1), ("a", {"eval_loss": 1.0}, 1), ("a", {"time": 8.0}, 0)],
)
def test_another_model_and_other_values_are_seen(digest, changed, faults):
    first, second = {"step": 1, "loss": 0.5, "time": 1.0}, {"step": 2, "loss": 0.4, "time": 2.0}
    peace = Reference(weights={"model.safetensors": "a"}, metrics=[first, second], seconds=1.0)
    assert len(list(judge.unequal({"model.safetensors": digest}, [{**first, **changed}, second], peace))) == faults


def test_a_missing_step_is_seen():
    peace = Reference(weights={}, metrics=[{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4}], seconds=1.0)
    (said,) = judge.unequal({}, peace.metrics[:1], peace)
    assert "(2, ['loss', 'step'])" in said
