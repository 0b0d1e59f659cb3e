"""A training of LLaMA-Factory alone, taken over at its checkpoint, goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from ftsdk import contract
from ftsdk.testing import tiny
from tests.runtime.programs.test_training import losses, train

ALONE = "import json, sys; from llamafactory.train.tuner import run_exp; run_exp(json.load(sys.stdin))"


@pytest.mark.trainer
@pytest.mark.long
@pytest.mark.parametrize("tuning", [{}, {"finetuning_type": "full", "lora_target": None, "pure_bf16": False}])
def test_a_checkpoint_of_the_trainer_alone_goes_on(tmp_path, tiny_folder, tuning):
    (tmp_path / "dataset_info.json").write_text(json.dumps(tiny.dataset_info(tiny_folder)))
    alone = tiny.config(
        tiny_folder, output_dir=str(tmp_path / "alone"), save_steps=6, dataset_dir=str(tmp_path), bf16=False, **tuning
    )
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "DISABLE_VERSION_CHECK": "1"}
    argv = [tiny.TRAINER_PYTHON, "-c", ALONE]
    subprocess.run(argv, input=json.dumps(alone), text=True, check=True, cwd=tmp_path, env=environ, capture_output=True)
    checkpoint = tmp_path / "alone" / "checkpoint-6"

    start = {"path": str(checkpoint), "step": 6}
    run = train(tmp_path / "job", tiny_folder, start_from=start, config={"bf16": False, **tuning})
    assert run.wait() == contract.EXIT_SUCCEEDED, run.lines()[-5:]
    history = json.loads((tmp_path / "alone" / "trainer_state.json").read_text())["log_history"]
    expected = {row["step"]: row["loss"] for row in history if "loss" in row and row["step"] > 6}
    assert losses(run) == pytest.approx(expected, abs=2e-4)  # logged with four digits
    assert [event["step"] for event in run.events(contract.EVENT_COMMIT)] == [10]


@pytest.mark.trainer
@pytest.mark.long
def test_a_checkpoint_of_another_model_is_refused_in_the_job(tmp_path, tiny_folder):
    first = train(tmp_path / "first", tiny_folder, config={"max_steps": 5, "lora_target": "q_proj"})
    assert first.wait() == contract.EXIT_SUCCEEDED, first.lines()[-5:]
    checkpoint = next((tmp_path / "first" / "durable" / "checkpoints").iterdir())
    run = train(tmp_path / "job", tiny_folder, start_from={"path": str(checkpoint), "step": 5})
    assert run.wait() == contract.EXIT_FAILED
    assert "the checkpoint to start from is of another model" in run.outcome()["message"]
