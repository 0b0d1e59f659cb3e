"""The demo's settings."""

import pytest

from ftsdk import Estimator
from ftsdk.demo import training
from ftsdk.demo.rows import DemoData


def plan(folder, **options):
    data = DemoData(train=folder / "train.jsonl", eval=folder / "train.jsonl", num_train=5, num_eval=5)
    return Estimator(**training.demo_spec(folder / "model", data, **options)).plan()


def test_the_plan_is_a_full_tuning_with_held_out_rows_and_nothing_to_warn_of(spec_folder):
    made = plan(spec_folder, steps=40)
    config = made.document["config"]
    assert made.warnings == ()
    assert (config["finetuning_type"], config["max_steps"], config["bf16"]) == ("full", 40, False)
    assert (config["eval_on_start"], config["eval_steps"], config["logging_steps"]) == (True, 10, 1)


@pytest.mark.parametrize(("seconds_per_step", "steps"), [(0.001, 600), (0.25, 343), (30.0, 200)])
def test_a_slow_machine_gets_fewer_steps_and_never_too_few_to_learn(seconds_per_step, steps):
    assert training.steps_within(seconds_per_step) == steps


@pytest.mark.parametrize("steps", [1, 7, training.MAX_STEPS])
def test_any_number_of_steps_is_logged_and_evaluated(spec_folder, steps):
    config = plan(spec_folder, steps=steps).document["config"]
    assert 1 <= config["logging_steps"] <= steps
    assert 1 <= config["eval_steps"] <= steps


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 64), ("200000 100000", 2), ("50000 100000", 1)])
def test_a_containers_quota_limits_the_threads(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(training, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(training.os, "sched_getaffinity", lambda pid: range(64), raising=False)
    assert training.usable_cores() == cores
