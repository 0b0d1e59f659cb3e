"""A model's folder without weights or tokenizer is refused when a job is submitted."""

from __future__ import annotations

import pytest

from ftsdk import Estimator
from ftsdk.errors import SpecError
from ftsdk.facts.model import inspect_model, refuse_incomplete


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "has no weights"),
        (["tokenizer.json"], "has no weights"),
        (["model.safetensors"], "has no tokenizer"),
        (["pytorch_model.bin", "merges.txt"], "has no tokenizer"),
    ],
)
def test_an_incomplete_folder_is_refused(spec_folder, files, says):
    for name in files:
        (spec_folder / "model" / name).write_text("x")
    with pytest.raises(SpecError, match=says):
        Estimator(model="./model", dataset="train.jsonl", folder=spec_folder, backend="local").fit(wait=False)


@pytest.mark.parametrize("files", [["model.safetensors", "tokenizer.json"], ["pytorch_model.bin", "tokenizer.model"]])
def test_a_complete_checkpoint_folder_is_accepted(spec_folder, files):
    for name in files:
        (spec_folder / "model" / name).write_text("x")
    refuse_incomplete(inspect_model("./model", spec_folder))


def test_a_model_on_a_hub_is_left_alone(spec_folder):
    refuse_incomplete(inspect_model("Qwen/Qwen3-8B", spec_folder))


def test_a_model_that_is_initialized_by_the_trainer_needs_no_weights(spec_folder):
    (spec_folder / "model" / "tokenizer.json").write_text("{}")
    refuse_incomplete(inspect_model("./model", spec_folder), needs_weights=False)
    with pytest.raises(SpecError, match="no weights"):
        refuse_incomplete(inspect_model("./model", spec_folder))
