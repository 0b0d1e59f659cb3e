"""Reports of docs/tried-reports.md, rebuilt in the small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ftsdk.backends.docker import Docker
from ftsdk.backends.local import Local
from ftsdk.errors import FtsdkError
from ftsdk.facts import inspect
from ftsdk.recipes import specfile
from ftsdk.runtime.supervisor.outcome.failure import FailureEvidence, classify
from ftsdk.spec.loading import parse

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "tried-reports.md"
ROW = re.compile(r"^\| ([\w.-]+/[\w.-]+#\d+) \| .+ \| (plan|submit|job|right) \| (\S+)::(\S+) \|$", re.M)
GRPO = {"stage": "grpo", "rewards": ["exact_match"]}


def planned(folder, backend=Local, **fields):
    (folder / "prompts.jsonl").write_text('{"prompt": "1+1", "answer": "2"}\n' * 64)
    (folder / "reward.py").write_text("def score(prompts, completions, **columns):\n    return [0.0] * len(prompts)\n")
    spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
    return backend().plan(spec, inspect(spec, folder=folder))


def sampling(rewards=("exact_match",), size=1, accumulated=1, **method):
    return {
        "dataset": "prompts.jsonl",
        "method": {**GRPO, "rewards": list(rewards), **method},
        "hyperparameters": {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulated},
    }


def test_each_report_names_a_test_that_is_there():
    rows = ROW.findall(PAGE.read_text("utf-8"))
    assert len(rows) >= 50 and len({row[0] for row in rows}) == len(rows)
    for report, _, file, name in rows:
        assert f"def {name}(" in (TESTS / file).read_text("utf-8"), report


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (sampling(size=7, num_generations=8), "no multiple of it"),
        (sampling(size=1, num_generations=16), "no multiple of it"),
        (sampling(size=1, num_generations=1), "num_generations"),
        (sampling(rewards=["reward.py:format"]), "has no function format"),
        ({"tuning": "full", "hyperparameters": {"quantization_bit": 4}}, "cannot be trained with tuning full"),
    ],
)
def test_wrong_settings_are_refused_at_plan(spec_folder, fields, says):
    with pytest.raises(FtsdkError, match=says):
        planned(spec_folder, **fields)


def test_qlora_on_a_quantised_base_gives_a_warning(spec_folder):
    settings = {"quant_method": "awq", "bits": 4}
    (spec_folder / "model" / "config.json").write_text(json.dumps({"quantization_config": settings}))
    warnings = planned(spec_folder, tuning="qlora").warnings
    assert any("has no effect: the base is quantised by awq already" in sentence for sentence in warnings)


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"early_stopping_steps": 2, "metric_for_best_model": "eval_loss", "eval_steps": 2},
        {"load_best_model_at_end": True, "eval_steps": 0.02, "save_steps": 0.1},
        {"warmup_ratio": 0.03},
    ],
)
def test_valid_settings_are_planned(spec_folder, hyperparameters):
    data = {"train": "train.jsonl", "eval_fraction": 0.4}
    assert planned(spec_folder, dataset=data, hyperparameters=hyperparameters).trainer_config


def test_accumulated_steps_count_for_a_group(spec_folder):
    assert planned(spec_folder, **sampling(size=1, accumulated=8, num_generations=8)).trainer_config


@pytest.mark.parametrize("card", ["V100", "T4"])
def test_bfloat16_on_an_old_card_gives_a_warning(spec_folder, card):
    spec = parse(
        {
            "model": "./model",
            "dataset": "train.jsonl",
            "resources": {"accelerator": card},
            "hyperparameters": {"bf16": True},
        },
        where="t",
    )
    from ftsdk.engines import render
    from ftsdk.engines.base import Layout

    made = render(spec, inspect(spec, folder=spec_folder), Layout(durable="/d", scratch="/s", inputs={}))
    assert any("computes bfloat16 in software" in sentence for sentence in made.warnings)


@pytest.mark.parametrize("keys", [{}, {"report_to": None}, {"report_to": "none"}, {"report_to": []}])
def test_report_to_none_plans_no_tracker(spec_folder, keys):
    (spec_folder / "dataset_info.json").write_text('{"rows": {"file_name": "train.jsonl"}}')
    data = {"model_name_or_path": "model", "dataset": "rows", "dataset_dir": ".", "do_train": True, **keys}
    loaded = specfile.from_data(data, where="a.yaml", folder=spec_folder)
    made = Docker().plan(loaded.spec, inspect(loaded.spec, folder=loaded.folder))
    assert made.trainer_config["report_to"] == "none" and made.document["wandb"] is None


@pytest.mark.parametrize("layer", ["model.embed_tokens.weight", "lm_head.modules_to_save.default.weight", "q.weight"])
def test_weights_of_other_sizes_have_a_reason_of_their_own(layer):
    cause = (
        f"builtins.RuntimeError: Error(s) in loading state_dict for Model: size mismatch for base_model.model.{layer}: "
        f"copying a param with shape torch.Size([9, 4]) from checkpoint"
    )
    assert classify(FailureEvidence(causes=[cause])).reason == "model_mismatch"
