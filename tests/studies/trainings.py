"""A sweep over real local jobs whose trainer is a few lines of Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ftsdk import Estimator, Sweep
from ftsdk.studies.study import Study
from ftsdk.studies.sweep import SweepPlan
from tests.python_jobs import PREAMBLE

LEARNS = """
for step in range(start + 1, TOTAL + 1):
    metrics(step, loss=config["learning_rate"] * 10 / step)
(output / "config.json").write_text('{"model_type": "qwen2"}')
(output / "model.safetensors").write_bytes(b"0")
"""
"""The smaller the learning rate, the smaller the loss."""
RATES = (0.003, 0.001, 0.002)


def planned(
    folder: Path, source: str = LEARNS, *, options: dict[str, object] | None = None, **fields: object
) -> SweepPlan:
    """A sweep over three learning rates whose jobs run this source; `folder` is what spec_folder makes."""
    estimator = Estimator(model="./model", dataset="train.jsonl", name="tiny", folder=folder, options=options)
    made = Sweep.model_validate({"grid": {"learning_rate": RATES}, "metric": "loss", **fields}).plan(estimator)
    trainer = folder / "trainer_file.py"
    trainer.write_text(PREAMBLE + source, encoding="utf-8")
    trials = [
        replace(trial, plan=replace(trial.plan, document={**trial.plan.document, "trainer": str(trainer)}))
        for trial in made.trials
    ]
    return replace(made, trials=tuple(trials))


def created(folder: Path, source: str = LEARNS, **fields: object) -> Study:
    """The same, written as a study; none of its jobs is started."""
    return planned(folder, source, **fields).create()
