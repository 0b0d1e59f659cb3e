"""Refusals at plan time beside the trainer's own: what we refuse it refuses too, what we let pass it takes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest

from ftsdk.engines import combinations
from ftsdk.engines.base import Layout
from ftsdk.engines.llamafactory import render
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny
from tests.golden import plans

LAYOUT = Layout(durable="/d", scratch="/s", inputs={})
TO_THE_TRAINER = {
    "pissa on qlora": {"tuning": {"type": "qlora", "pissa": True}},
    "pissa with a reference": {"tuning": {"type": "lora", "pissa": True}, "method": "dpo"},
    "neat packing of pairs": {"method": "dpo", "hyperparameters": {"neat_packing": True}},
    "masked history of text": {"method": "pt", "hyperparameters": {"mask_history": True}},
    "best reward model": {"method": "rm", "hyperparameters": {"load_best_model_at_end": True}},
    "endless stream": {"dataset": {"train": "train.jsonl", "streaming": True}},
    "a limited stream": {
        "dataset": {"train": "train.jsonl", "streaming": True, "max_samples": 9},
        "hyperparameters": {"max_steps": 1},
    },
    "a share of a stream": {
        "dataset": {"train": "train.jsonl", "streaming": True, "eval_fraction": 0.1},
        "hyperparameters": {"max_steps": 1},
    },
    "two masks": {"hyperparameters": {"train_on_prompt": True, "mask_history": True}},
    "shares of a row of sets": {"hyperparameters": {"interleave_probs": "1.0"}},
    "shares of too few": {"hyperparameters": {"interleave_probs": "0.5,0.5", "mix_strategy": "interleave_over"}},
    "evaluating nothing": {"hyperparameters": {"do_eval": True}},
    "written answers of pairs": {
        "method": "dpo",
        "dataset": {"train": "train.jsonl", "eval_rows": 9},
        "hyperparameters": {"predict_with_generate": True},
    },
    "predictions that are not written": {
        "dataset": {"train": "train.jsonl", "eval_rows": 9},
        "hyperparameters": {"do_predict": True},
    },
    "a larger vocabulary of 4 bits": {"tuning": "qlora", "hyperparameters": {"resize_vocab": True}},
    "fp8 of 4 bits": {"tuning": "qlora", "hyperparameters": {"fp8": True}},
    "another engine": {"hyperparameters": {"infer_backend": "vllm"}},
    "galore on lora": {"hyperparameters": {"use_galore": True}},
    "llama pro and full": {"tuning": "full", "hyperparameters": {"use_llama_pro": True}},
}
ONLY_OURS = {
    "smoothing of ipo": {"method": {"stage": "ipo", "label_smoothing": 0.1}},
    "packed pairs": {"method": "dpo", "hyperparameters": {"packing": True}},
    "two ways of sharding": {
        "sharding": "zero2",
        "hyperparameters": {"deepspeed": {"zero_optimization": {"stage": 2}}},
    },
    "offload of nothing": {"sharding": {"type": "ddp", "offload": True}},
    "8 bits split": {"tuning": {"type": "qlora", "bits": 8}, "sharding": "fsdp"},
    "pissa under zero3": {"tuning": {"type": "lora", "pissa": True}, "sharding": "zero3"},
}
TAKEN = {
    "fsdp": {"sharding": "fsdp"},
    "fsdp offload": {"sharding": {"type": "fsdp", "offload": True}, "tuning": "full"},
    "liger": {"hyperparameters": {"enable_liger_kernel": True}},
    "flash attention": {"hyperparameters": {"flash_attn": "fa2", "neat_packing": True}},
    "unsloth": {"hyperparameters": {"use_unsloth": True}},
}
PARSE = """
import json, sys
from unittest import mock
from llamafactory.hparams import parser
answers = {}
for name, config in json.load(sys.stdin).items():
    config = {**config, "output_dir": "out", "report_to": "none"}
    try:
        with mock.patch.object(parser, "_check_extra_dependencies"):  # packages that need a GPU are not here
            parser.get_train_args(config)
        answers[name] = ""
    except (ValueError, AssertionError) as problem:
        answers[name] = str(problem)
print(json.dumps(answers))
"""


def spec_of(change):
    return parse({"name": "t", "model": "model", "dataset": "train.jsonl", **change}, where="t")


@pytest.mark.parametrize("name", [*TO_THE_TRAINER, *ONLY_OURS])
def test_a_combination_that_fails_is_refused_with_what_to_do(name):
    with pytest.raises((UnsupportedError, SpecError), match=r"(:|for|keep|leave) .+\.$"):
        render.render(spec_of({**TO_THE_TRAINER, **ONLY_OURS}[name]), plans.facts(), LAYOUT)


@pytest.mark.trainer
def test_the_trainer_refuses_what_we_refuse_and_takes_what_we_let_pass(monkeypatch, tmp_path):
    monkeypatch.setattr(combinations, "RULES", ())  # what the trainer would have been given without them
    asked = {
        name: render.render(spec_of(change), replace(plans.facts(), eval=()), LAYOUT).config
        for name, change in {**TO_THE_TRAINER, **TAKEN}.items()
    }
    command = [tiny.TRAINER_PYTHON, "-c", PARSE]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert {name for name, problem in answers.items() if problem} == set(TO_THE_TRAINER)


def test_every_tuning_that_no_trainer_has_names_another():
    for name, other in (("adapter", "use `ia3` or `lora`"), ({"type": "llama-adapter"}, "use `prefix`")):
        with pytest.raises(UnsupportedError, match=other):
            spec_of({"tuning": name})
    with pytest.raises(SpecError, match="type: lora, dora: true"):
        spec_of({"tuning": "dora"})


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("offload", [False, True])
def test_sharding_options_become_a_deepspeed_configuration(stage, offload):
    change = {"sharding": {"type": f"zero{stage}", "offload": offload}}
    if stage == 0 and offload:
        return
    config = render.render(spec_of(change), plans.facts(), LAYOUT).config["deepspeed"]
    zero = config["zero_optimization"]
    assert zero["stage"] == stage
    assert ("offload_optimizer" in zero, "offload_param" in zero) == (offload, offload and stage == 3)
    assert json.loads(json.dumps(config)) == config
