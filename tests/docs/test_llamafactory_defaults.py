"""Where an unchanged LLaMA-Factory file means something else here, the page says so: compared with the real classes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from docs.llamafactory_defaults import DIFFERENT, PAGE, table
from ftsdk.engines.base import Layout
from ftsdk.engines.llamafactory import render
from ftsdk.recipes import specfile
from ftsdk.runtime.programs.llamafactory import configured
from ftsdk.testing import tiny
from tests.golden import plans

FILE = {
    "model_name_or_path": "m/x",
    "stage": "sft",
    "finetuning_type": "lora",
    "dataset": "a",
    "eval_dataset": "b",
    "do_train": True,
}
SAME_MEANING = {
    "lora_alpha",
    "warmup_ratio",
    "run_name",
    "plot_loss",
    "output_dir",
    "dataset_dir",
    "model_name_or_path",
}
"""Written out where LLaMA-Factory computes the same, or folders of the job."""
DEFAULTS = """
import dataclasses, json
from llamafactory.hparams import (
    DataArguments, FinetuningArguments, GeneratingArguments, ModelArguments, TrainingArguments)
found = {}
for group in (ModelArguments, DataArguments, TrainingArguments, FinetuningArguments, GeneratingArguments):
    for field in dataclasses.fields(group):
        if field.init and field.default is not dataclasses.MISSING:
            found[field.name] = field.default
print("FOUND" + json.dumps(found, default=str))
"""


def test_the_page_has_the_table():
    assert table() in PAGE.read_text("utf-8")


@pytest.mark.trainer
def test_the_table_has_every_argument_whose_default_differs():
    done = subprocess.run([tiny.TRAINER_PYTHON, "-c", DEFAULTS], capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.partition("FOUND")[2])
    spec = specfile.from_data(FILE, where="a.yaml", folder=Path()).spec
    config = render.render(spec, plans.facts(), Layout(durable="/d", scratch="/s", inputs={})).config
    job = {"document": {"config": config}, "output": "out", "resume": None, "data": "data"}
    ours = {**configured(job), "save_total_limit": spec.checkpoint.keep}
    differing = {name for name, value in ours.items() if name in theirs and str(theirs[name]) != str(value)}
    listed = {name for name, each in DIFFERENT.items() if each.theirs != each.ours}
    assert differing - set(FILE) - SAME_MEANING == listed
    for name, each in DIFFERENT.items():
        assert (theirs[name], ours[name]) == (each.theirs, each.ours), name
