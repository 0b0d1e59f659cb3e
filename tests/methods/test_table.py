"""The table of methods and tunings in docs/methods.md: every cell that it claims is trained here.

Each trains end to end through the local backend; its objective must move the right way over the run, and the model
must load in transformers or peft and answer.
"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest

from ftsdk import Estimator
from ftsdk.testing import tiny
from tests.methods import data
from tests.runtime.programs.test_adapter_kinds import models

__all__ = ["models"]

pytestmark = pytest.mark.trainer

STEPS = 16


class Cell(NamedTuple):
    """A method with a tuning, and what must become better."""

    method: str | dict[str, Any]
    tuning: str | dict[str, Any]
    data: str
    metric: str = "loss"
    rises: bool = False
    learning_rate: float = 3e-3


METHODS = {
    "pt": Cell("pt", "lora", "text"),
    "sft": Cell("sft", "lora", "instruction"),
    "rm": Cell("rm", "lora", "pairs"),
    "dpo": Cell("dpo", "lora", "pairs", "rewards/margins", rises=True),
    "ipo": Cell({"stage": "ipo", "beta": 0.1}, "lora", "pairs", "rewards/margins", rises=True),
    "kto": Cell("kto", "lora", "labelled", "rewards/margins", rises=True),
    "orpo": Cell("orpo", "lora", "pairs", "loss"),
    "simpo": Cell({"stage": "simpo", "gamma": 0.5, "beta": 2.0}, "lora", "pairs", "rewards/margins", rises=True),
}
TUNINGS = {
    "full": Cell("sft", "full", "instruction", learning_rate=1e-3),
    "freeze": Cell("sft", {"type": "freeze", "trainable_layers": 1}, "instruction"),
    "dora": Cell("sft", {"type": "lora", "dora": True}, "instruction"),
    "rslora": Cell("sft", {"type": "lora", "rslora": True, "dropout": 0.1}, "instruction"),
    "pissa": Cell("sft", {"type": "lora", "pissa": True}, "instruction"),
    "lora+": Cell("sft", {"type": "lora", "plus_lr_ratio": 16.0, "targets": ["q_proj", "v_proj"]}, "instruction"),
    "qlora4": Cell("sft", {"type": "qlora", "bits": 4}, "instruction"),
    "qlora8": Cell("sft", {"type": "qlora", "bits": 8}, "instruction"),
    "ia3": Cell("sft", "ia3", "instruction", learning_rate=3e-2),
    "oft": Cell("sft", {"type": "oft", "block_size": 16}, "instruction", learning_rate=1e-2),
}
FAMILY = {
    "adalora": Cell("sft", {"type": "adalora", "every_steps": 1}, "instruction", learning_rate=1e-2),
    "vera": Cell("sft", {"type": "vera", "rank": 32}, "instruction", learning_rate=3e-2),
    "boft": Cell("sft", "boft", "instruction", learning_rate=1e-2),
    "hra": Cell("sft", "hra", "instruction", learning_rate=1e-2),
    "loha": Cell("sft", "loha", "instruction", learning_rate=1e-2),
    "lokr": Cell("sft", "lokr", "instruction", learning_rate=1e-2),
    "ln_tuning": Cell("sft", "ln_tuning", "instruction", learning_rate=1e-2),
    "fourierft": Cell("sft", "fourierft", "instruction", learning_rate=1e-2),
    "prompt": Cell("sft", {"type": "prompt", "num_virtual_tokens": 4}, "instruction", learning_rate=3e-2),
    "p_tuning": Cell("sft", {"type": "p_tuning", "num_virtual_tokens": 4}, "instruction", learning_rate=1e-2),
    "prefix": Cell("sft", {"type": "prefix", "num_virtual_tokens": 4}, "instruction", learning_rate=3e-2),
    "p_tuning_v2": Cell(
        "sft", {"type": "p_tuning_v2", "num_virtual_tokens": 4, "projection": True}, "instruction", learning_rate=1e-2
    ),
    "bitfit": Cell("sft", "bitfit", "instruction", learning_rate=3e-2),
    "ia3 dpo": Cell("dpo", "ia3", "pairs", "rewards/margins", rises=True, learning_rate=3e-2),
    "prefix dpo": Cell(
        "dpo", {"type": "prefix", "num_virtual_tokens": 4}, "pairs", "rewards/margins", rises=True, learning_rate=1e-2
    ),
}
"""Tunings that peft creates."""
FULL = {
    name: cell._replace(tuning="full", learning_rate=1e-3)
    for name, cell in METHODS.items()
}  # fmt: skip


class Trained(NamedTuple):
    """A finished cell."""

    folder: Path
    values: list[float]


@pytest.fixture(scope="module")
def room(tmp_path_factory, tiny_folder):
    folder = data.write(tmp_path_factory.mktemp("methods"))
    (folder / "model").symlink_to(tiny_folder / "model")
    return folder


def train(room: Path, name: str, cell: Cell, **changed: Any) -> Trained:
    job = Estimator(
        name=name,
        model=changed.pop("model", "./model"),
        method=cell.method,
        tuning=cell.tuning,
        dataset=f"{cell.data}.jsonl",
        hyperparameters={
            "max_steps": STEPS, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "cutoff_len": 64,
            "learning_rate": cell.learning_rate, "logging_steps": 1, "warmup_ratio": 0.0,
            "lr_scheduler_type": "constant", **changed,
        },
        backend="local",
        options={"python": tiny.TRAINER_PYTHON},
        folder=room,
    ).fit()  # fmt: skip
    values = [float(event[cell.metric]) for event in job.metrics() if cell.metric in event]
    folder = job.model().path
    assert folder is not None
    return Trained(folder, values)


def assert_better(cell: Cell, values: list[float]) -> None:
    """The last quarter of the steps is better than the first."""
    assert STEPS - 2 <= len(values) <= STEPS  # kto has no margin for a batch of one label only
    assert all(map(math.isfinite, values))
    before, after = fmean(values[: STEPS // 4]), fmean(values[-STEPS // 4 :])
    assert (after > before) if cell.rises else (after < before), (before, after)


def said(room: Path, *folders: Path) -> dict[str, str]:
    command = [tiny.TRAINER_PYTHON, "-m", "tests.methods.answers", str((room / "model").resolve()), *map(str, folders)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def finished() -> dict[str, Path]:
    """Models of the cells that passed, for the last test to load in one go."""
    return {}


@pytest.mark.parametrize("name", [*METHODS, *TUNINGS])
def test_a_cell_trains_and_its_objective_moves_the_right_way(room, finished, name):
    cell = {**METHODS, **TUNINGS}[name]
    trained = train(room, name.replace("+", "plus"), cell)
    assert_better(cell, trained.values)
    finished[name] = trained.folder


def test_every_model_loads_and_answers(room, finished):
    asked = {name: folder for name, folder in finished.items() if name != "rm"}
    assert len(asked) == len(METHODS) + len(TUNINGS) - 1
    answers = said(room, *asked.values())
    assert any(answers.values())


def test_a_chain_goes_on_from_the_adapter_and_compares_with_it(room, finished):
    chained = train(room, "chained", METHODS["dpo"], model=f"{finished['sft'].parent.as_uri()}/model")
    assert_better(METHODS["dpo"], chained.values)
    assert abs(chained.values[0]) < 1e-6, "at the start the policy is its own reference"
    assert said(room, chained.folder)


@pytest.mark.long
@pytest.mark.parametrize("name", list(FULL))
def test_full_tuning_of_every_method(room, name):
    assert_better(FULL[name], train(room, f"{name}-full", FULL[name]).values)


@pytest.mark.long
@pytest.mark.parametrize("name", list(FAMILY))
def test_every_tuning_of_peft_learns(room, models, name):
    model = {"model": str(models)} if name == "bitfit" else {}
    assert_better(FAMILY[name], train(room, name.replace("_", "-").replace(" ", "-"), FAMILY[name], **model).values)
