"""An interrupted training ends as the same model with the same log: bit for bit, wherever it was interrupted.

The trainings run in forks of one process that has imported the trainer (see `forks.py`); each case is trained in one
go and in attempts, and every value that the trainer logged is compared.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ftsdk import contract
from ftsdk.runtime.worker_protocol import INTERRUPTED, SUCCEEDED
from ftsdk.testing import tiny
from tests.runtime.programs import forks

pytestmark = pytest.mark.trainer

NEVER = {"every_minutes": None, "every_steps": None, "mtbf_hours": None, "keep": 2}
EVERY_2, EVERY_3 = {**NEVER, "every_steps": 2}, {**NEVER, "every_steps": 3}
OF_THE_CLOCK = {"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_tokens_per_second"}
OF_THE_CLOCK |= {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "total_flos"}

STEP, PREDICTION = "on_step_begin", "on_prediction_step"
EPOCHS = {"max_samples": 20, "gradient_accumulation_steps": 3, "max_steps": -1, "num_train_epochs": 3}
"""Four steps in an epoch, the fourth of one row pair only."""
HELD_OUT = {"val_size": 0.2, "eval_strategy": "steps", "per_device_eval_batch_size": 4}
BEST = {**HELD_OUT, "eval_steps": 2, "save_strategy": "steps", "save_steps": 2, "load_best_model_at_end": True}
RISING = {"metric_for_best_model": "loss", "greater_is_better": True}
"""The first evaluation stays the best."""


def case(**options: Any) -> dict[str, Any]:
    """Trainer arguments, and the inputs of `forks.py`."""
    return options


ONE_ROW = {"per_device_train_batch_size": 1}
CASES = {
    "losses that are not logged yet": case(notices=[[STEP, 5], [STEP, 3], [STEP, 1]], logging_steps=4),
    "full, at the end of an epoch": case(
        notices=[[STEP, 4], [STEP, 4]],
        **EPOCHS,
        finetuning_type="full",
        val_size=0.2,
        eval_strategy="epoch",
        logging_strategy="epoch",
    ),
    "accumulation, within an epoch": case(notices=[[STEP, 3], [STEP, 2]], **EPOCHS, logging_steps=2),
    "an evaluation is due, and then interrupted twice": case(
        notices=[[STEP, 6], [PREDICTION, 2], [PREDICTION, 3], [PREDICTION, 9]],
        **HELD_OUT,
        eval_steps=6,
        logging_steps=4,
    ),
    "during the evaluation at the end of an epoch": case(
        notices=[[PREDICTION, 1], [PREDICTION, 2]], **{**EPOCHS, "max_samples": 40}, val_size=0.3, eval_strategy="epoch"
    ),
    "the best is loaded at the end": case(notices=[[STEP, 4], [PREDICTION, 3], [STEP, 3]], **BEST, **RISING),
    "stopped early, at a notice": case(
        notices=[[STEP, 5], [STEP, 1]], **BEST, **RISING, early_stopping_steps=2, logging_steps=3
    ),
    "during the evaluation after the training": case(
        notices=[[PREDICTION, 2], [PREDICTION, 1]], **{**HELD_OUT, "eval_strategy": "no"}, do_eval=True, max_steps=5
    ),
    "killed at any moment": case(
        notices=[[STEP, 6, "KILL"], ["on_save", 2, "KILL"], [PREDICTION, 2, "KILL"]],
        checkpoint=EVERY_2,
        **HELD_OUT,
        eval_steps=5,
        logging_steps=5,
    ),
    "killed after the last step": case(notices=[["on_train_end", 1, "KILL"]], checkpoint=EVERY_3, max_steps=9),
    "killed in the evaluation of an epoch's end": case(
        notices=[[PREDICTION, 1, "KILL"]],
        checkpoint={**NEVER, "every_steps": 4},
        **EPOCHS,
        val_size=0.2,
        eval_strategy="epoch",
    ),
    "two processes, one has the notice": case(
        notices=[[STEP, 5, "TERM", 1], [PREDICTION, 1, "TERM", 1]],
        ranks=2,
        **HELD_OUT,
        eval_steps=8,
        gradient_accumulation_steps=2,
        logging_steps=4,
    ),
    "before the first step and behind the last": case(notices=[["on_init_end", 1], ["on_train_end", 1]], max_steps=3),
    "on fewer processes, then on more": case(
        notices=[[STEP, 4], [STEP, 3]],
        changes=[{"ranks": 2, **ONE_ROW}, {"ranks": 1}, {"ranks": 2, **ONE_ROW}],
        lora_dropout=0.0,
        logging_steps=3,
        is_exact=False,
    ),
    "a reward model": case(notices=[[STEP, 4]], data="pairs", stage="rm", max_steps=6, logging_steps=4),
    "a reward model, full": case(
        notices=[[STEP, 4]], data="pairs", stage="rm", finetuning_type="full", max_steps=6, logging_steps=4
    ),
}
SHORT = {"notices": [[STEP, 4]], "max_steps": 6, "logging_steps": 4}
PAIRS = {**SHORT, "data": "pairs", "stage": "dpo"}
KINDS = {
    "pt": {"stage": "pt", "data": "texts"},
    "sft freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
    "sft oft": {"finetuning_type": "oft", "oft_block_size": 8, "oft_target": "all"},
    "sft qlora": {"quantization_bit": 4, "quantization_method": "bnb"},
    "sft dora": {"use_dora": True},
    "sft rslora": {"use_rslora": True},
    "sft pissa": {"pissa_init": True},
    "sft lora+": {"loraplus_lr_ratio": 16.0},
    "sft in bf16": {"bf16": True, "use_cpu": True},
    "sft packed": {"packing": True},
    "sft neatly packed": {"packing": True, "neat_packing": True},
    "sft streamed": {"streaming": True, "dataloader_num_workers": 1},
    "sft with loading processes": {"dataloader_num_workers": 1},
    "sft with noise": {"neftune_noise_alpha": 5.0},
    "sft full on two": {"finetuning_type": "full", "ranks": 2},
    "rm freeze": {"stage": "rm", "data": "pairs", "finetuning_type": "freeze", "freeze_trainable_layers": 1},
    "rm on two": {"stage": "rm", "data": "pairs", "ranks": 2},
    "dpo": PAIRS,
    "dpo full": {**PAIRS, "finetuning_type": "full"},
    "dpo on two": {**PAIRS, "ranks": 2},
    "ipo": {**PAIRS, "pref_loss": "ipo"},
    "orpo": {**PAIRS, "pref_loss": "orpo"},
    "simpo": {**PAIRS, "pref_loss": "simpo"},
    "kto": {"stage": "kto", "data": "tagged"},
}
ELASTIC = "on four processes, then on two, then on three"
WIDE = {name: {**SHORT, **kind} for name, kind in KINDS.items()} | {
    ELASTIC: case(
        notices=[[STEP, 3], [STEP, 2]],
        changes=[
            {"ranks": 4, "gradient_accumulation_steps": 3},
            {"ranks": 2, "gradient_accumulation_steps": 6},
            {"ranks": 3, "gradient_accumulation_steps": 4},
        ],
        **ONE_ROW,
        max_samples=120,  # divided by 4, 2 and 3, so that the epoch's fractions are equal
        max_steps=9,
        lora_dropout=0.0,
        tolerance=1e-6,
    )
}


def data_of(folder: Path) -> dict[str, dict]:
    """dataset_info entries of the tiny rows, as every kind of data."""
    rows = json.loads((folder / "train.json").read_text())
    other = [row["output"] for row in rows[1:] + rows[:1]]
    made = {
        "pairs": [{**row, "chosen": row["output"], "rejected": bad} for row, bad in zip(rows, other, strict=True)],
        "tagged": [{**row, "good": number % 2 == 0} for number, row in enumerate(rows)],
        "texts": [{"text": row["instruction"] + " " + row["output"]} for row in rows],
    }
    for name, content in made.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    asked = {"prompt": "instruction"}
    return {
        "rows": tiny.dataset_info(folder),
        "pairs": {
            "tiny": {
                "file_name": str(folder / "pairs.json"),
                "ranking": True,
                "columns": {**asked, "chosen": "chosen", "rejected": "rejected"},
            }
        },
        "tagged": {
            "tiny": {
                "file_name": str(folder / "tagged.json"),
                "columns": {**asked, "response": "output", "kto_tag": "good"},
            }
        },
        "texts": {"tiny": {"file_name": str(folder / "texts.json"), "columns": {"prompt": "text"}}},
    }


def train_all(cases: dict, tiny_folder: Path, root: Path) -> Path:
    data, listed = data_of(tiny_folder), []
    for name, case in cases.items():
        config = dict(case)
        options = {key: config.pop(key) for key in ("notices", "changes", "ranks", "checkpoint") if key in config}
        info = data[config.pop("data", "rows")]
        config.pop("is_exact", None)
        config.pop("tolerance", None)
        listed.append(
            {"name": name, "checkpoint": NEVER, "dataset_info": info, "config": tiny.config(tiny_folder, **config)}
            | options
        )
    (root / "cases.json").write_text(json.dumps(listed))
    environ = {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(root / "cache"), "WANDB_MODE": "disabled"}
    program = [tiny.TRAINER_PYTHON, forks.__file__, str(root / "cases.json"), str(root)]
    path = os.pathsep.join([str(Path(tiny.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    subprocess.run(program, env={**os.environ, **environ, "PYTHONPATH": path}, check=True)
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_folder):
    return train_all(CASES, tiny_folder, tmp_path_factory.mktemp("exact"))


@pytest.fixture(scope="module")
def trained_wide(tmp_path_factory, tiny_folder):
    return train_all(WIDE, tiny_folder, tmp_path_factory.mktemp("wide"))


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_run_ends_with_the_same_weights(trained, name):
    check(trained / name, CASES[name])


@pytest.mark.long
@pytest.mark.parametrize("name", WIDE)
def test_every_kind_of_training_goes_on_exactly(trained_wide, name):
    check(trained_wide / name, WIDE[name])


def check(folder: Path, case: dict) -> None:
    attempts = [folder / f"a{number}" for number in range(len(case["notices"]) + 2)]
    whole, last = attempts[0], attempts[-1]
    said = (last / "log-0").read_text()[-3000:]
    for number, notice in enumerate(case["notices"]):
        ends = [] if "KILL" in notice else [SUCCEEDED if notice[0] == "on_train_end" else INTERRUPTED]
        assert states(attempts[number + 1]) == ends * ranks_of(case, number), said
    assert states(whole) == states(last) == [SUCCEEDED] * ranks_of(case, -1), said
    metrics = [event for attempt in attempts[1:] for event in events(attempt)]
    kept = {place(event): event for event in metrics}
    if "tolerance" in case or not case.get("is_exact", True):
        check_closeness(kept, whole, last, case.get("tolerance", 1e-4))
        return
    assert weights(whole) == weights(last)
    assert logged(whole) == logged(last)
    assert kept == {place(event): event for event in events(whole)}
    if not any({"KILL", "on_train_end"} & set(notice) for notice in case["notices"]):
        assert metrics == events(whole), "the stream has doubled or missing steps"


def ranks_of(case: dict, attempt: int) -> int:
    changes = case.get("changes")
    return changes[attempt]["ranks"] if changes else case.get("ranks", 1)


def check_closeness(kept: dict, whole: Path, last: Path, tolerance: float) -> None:
    """Other processes, the same rows in each step: what differs is the order of sums and nothing else (no dropout)."""
    for event in events(whole):
        found = kept.pop(place(event))
        assert found == {key: _about(value, tolerance) for key, value in event.items()}
    assert not kept
    assert weights(whole).keys() == weights(last).keys()


def _about(value: object, tolerance: float) -> object:
    return pytest.approx(value, rel=tolerance) if isinstance(value, float) else value


def states(attempt: Path) -> list[str]:
    return [json.loads(path.read_text())["state"] for path in sorted((attempt / "run").glob("worker-*.json"))]


def weights(attempt: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in (attempt / "output").glob("*.safetensors")}
    assert found
    return found


def logged(attempt: Path) -> list[dict]:
    """Everything that the trainer ever logged, across its resumes."""
    history = json.loads((attempt / "output" / "trainer_state.json").read_text())["log_history"]
    return [{key: value for key, value in row.items() if key not in OF_THE_CLOCK} for row in history]


def events(attempt: Path) -> list[dict]:
    """What `ftsdk metrics` is made of, without what the clock decides."""
    found = (contract.parse_event_json(line) for line in forks.events_of(attempt))
    clock = ("time", "tokens_per_s", "eta_s")
    return [
        {key: value for key, value in event.items() if key not in clock}
        for event in found
        if event and event["event"] == contract.EVENT_METRICS
    ]


def place(event: dict) -> tuple:
    return event["step"], contract.metrics_kind(event)
