"""A checkpoint goes on with half the micro-batch and twice the accumulation: what a retry after out of memory does."""

from __future__ import annotations

import pytest

from ftsdk import contract
from ftsdk.testing import tiny
from tests.runtime.harness import Supervised

LAST = 40

pytestmark = pytest.mark.trainer


def start(root, folder, micro, accumulation, attempt):
    sizes = {"per_device_train_batch_size": micro, "gradient_accumulation_steps": accumulation}
    return Supervised(
        root,
        "llamafactory",
        attempt=attempt,
        python=tiny.TRAINER_PYTHON,
        config=tiny.config(folder, max_steps=400 if attempt == 1 else LAST, lr_scheduler_type="constant", **sizes),
        dataset_info=tiny.dataset_info(folder),
        environ={"OMP_NUM_THREADS": "1"},
    )


def test_the_same_rows_with_a_smaller_micro_batch(tmp_path, tiny_folder):
    first = start(tmp_path, tiny_folder, 4, 1, 1)
    first.wait_for('"step": 3,')
    assert first.terminate() == contract.EXIT_INTERRUPTED
    saved = first.events(contract.EVENT_COMMIT)[-1]["step"]
    assert saved < LAST
    second = start(tmp_path, tiny_folder, 2, 2, 2)
    assert second.wait() == contract.EXIT_SUCCEEDED, second.lines()[-20:]
    steps = [event["step"] for event in second.events(contract.EVENT_METRICS) if "loss" in event]
    assert steps == list(range(saved + 1, LAST + 1))
    epochs = {event["step"]: event["epoch"] for run in (first, second) for event in run.events(contract.EVENT_METRICS)}
    per_step = 4 / tiny.ROWS
    assert all(epoch == pytest.approx(step * per_step, abs=per_step / 10) for step, epoch in epochs.items())
