"""The whole demo, short: data, model, training, held-out loss, chart and answer."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from ftsdk.demo import QUESTION, run_demo, summary
from ftsdk.errors import NotInstalledError
from ftsdk.testing import tiny


@pytest.mark.trainer
def test_a_few_steps_lower_both_losses_and_give_a_model(own_home, monkeypatch):
    monkeypatch.setenv("FTSDK_LOCAL_PYTHON", tiny.TRAINER_PYTHON)
    words = io.StringIO()
    result = run_demo(steps=8, stream=words)
    assert result.last_loss < result.first_loss - 0.5
    assert result.eval_loss_after < result.eval_loss_before - 0.5
    assert result.question == QUESTION and result.answer
    assert Path(result.chart_png).parent == own_home / "demo"
    assert json.loads(json.dumps(asdict(result)))["seconds"] > 0

    folder = Path(result.model.removeprefix("file://"))
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    assert 8e6 < (folder / "model.safetensors").stat().st_size < 20e6  # two to five million numbers of four bytes
    assert "step 8/8" in words.getvalue() and "held out" in words.getvalue()
    shown = summary(result)
    assert "training loss" in shown and QUESTION in shown and result.model in shown


def test_without_a_trainer_the_error_says_what_to_do(own_home, monkeypatch):
    python = own_home / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("FTSDK_LOCAL_PYTHON", str(python))
    with pytest.raises(NotInstalledError, match=r"No module named 'torch'.*make setup"):
        run_demo(steps=1, stream=io.StringIO())
    monkeypatch.setenv("FTSDK_LOCAL_PYTHON", str(own_home / "nowhere"))
    with pytest.raises(NotInstalledError, match="nowhere"):
        run_demo(steps=1, stream=io.StringIO())
