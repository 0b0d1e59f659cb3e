"""The benchmarks of interruptions run and report; what they measure is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.launch.report import machine
from bench.resume import judge, table
from bench.resume.records import Baseline, CampaignRun, MeasuredFault
from bench.resume.setups import BY_NAME
from ftsdk.testing.faults import Fault

ROOT = Path(__file__).parents[2]
SETUP = BY_NAME["local, LoRA with dropout"]


def fault(**changed):
    happened = {
        "kind": "kill", "what": "SIGKILL to the supervisor", "at": 1.0, "attempt": 1, "step": 33, "state": "FAILED",
        "reason": "killed", "message": "", **changed.pop("happened", {}),
    }  # fmt: skip
    given = {"during": "training", "start": 0, "survivors_s": 0.1, "orphans": 0, "lost_steps": 13, **changed}
    return MeasuredFault(fault=Fault(**happened), **given)


@pytest.mark.long
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
    faults = [fault(), fault(lost_steps=None, during="start"), fault(happened={"kind": "term"}, lost_steps=0)]
    faults.append(fault(happened={"kind": "term", "state": "SUCCEEDED"}, lost_steps=None))
    run = CampaignRun(setup=SETUP, seed=5, faults=faults, violations=["the weights differ"], seconds=12.3)
    page = table.write([run], {"ftsdk": "1"}, machine(), tmp_path)
    text = page.read_text()
    assert "4 faults in 1 trainings, 1 violations: 3 ended an attempt or a start of one, 0 were outages" in text
    assert "| local, LoRA with dropout | 4 | 1 | 2 | 6.5 | 13 | 0 | 0.1 |" in text
    assert "| term | 2 | 0 | 1 | 0 | 0 | 0 | 0.1 |" in text
    assert "local, LoRA with dropout, seed 5: the weights differ" in text
    assert json.loads(page.with_suffix(".json").read_text())["runs"][0]["faults"][0]["lost_steps"] == 13


@pytest.mark.parametrize(
    ("one", "violation"),
    [
        (fault(lost_steps=21), "21 steps were done again"),
        (fault(lost_steps=2, happened={"kind": "term"}), "2 steps were done again"),
        (fault(orphans=2), "2 processes lived on"),
        (fault(happened={"reason": "error", "message": "odd"}), "ended as error: odd"),
        (fault(happened={"reason": "disk_full"}), "ended as disk_full"),
    ],
)
def test_each_violation_is_reported(one, violation):
    (said,) = judge.violations(SETUP, one)
    assert violation in said


def test_allowed_losses_are_no_violation():
    assert not list(judge.violations(SETUP, fault(lost_steps=20)))
    assert not list(judge.violations(SETUP, fault(lost_steps=25, while_publishing=5)))
    assert not list(judge.violations(SETUP, fault(happened={"kind": "fill-disk", "reason": "disk_full"})))


@pytest.mark.parametrize(
    ("digest", "changed", "differences"),
    [("a", {}, 0), ("b", {}, 1), ("a", {"loss": 0.5000001}, 1), ("a", {"eval_loss": 1.0}, 1), ("a", {"time": 8.0}, 0)],
)
def test_different_weights_and_metrics_are_reported(digest, changed, differences):
    first, second = {"step": 1, "loss": 0.5, "time": 1.0}, {"step": 2, "loss": 0.4, "time": 2.0}
    baseline = Baseline(weights={"model.safetensors": "a"}, metrics=[first, second], seconds=1.0)
    assert (
        len(list(judge.unequal({"model.safetensors": digest}, [{**first, **changed}, second], baseline))) == differences
    )


def test_a_missing_step_is_reported():
    baseline = Baseline(weights={}, metrics=[{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4}], seconds=1.0)
    (said,) = judge.unequal({}, baseline.metrics[:1], baseline)
    assert "(2, ['loss', 'step'])" in said
