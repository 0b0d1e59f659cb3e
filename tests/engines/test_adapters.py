"""Tunings that peft creates: what is rendered, what is refused, what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.recipes.converting import as_llamafactory
from ftsdk.sizing import estimate_job
from ftsdk.spec.loading import parse
from tests.golden import plans

LAYOUT = Layout(durable="/d", scratch="/s", inputs={})
LLAMA = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256}  # fmt: skip
QWEN2 = {**LLAMA, "model_type": "qwen2"}


def facts(config=LLAMA):
    found = plans.facts()
    return replace(found, model=replace(found.model, config=config))


def rendered(config=LLAMA, **fields):
    return render(plans.spec(**fields), facts(config), LAYOUT)


@pytest.mark.parametrize(
    ("tuning", "targets", "kind", "given"),
    [
        ("ia3", "k_proj,v_proj,down_proj", "ia3", {"feedforward_modules": ["down_proj"]}),
        ({"type": "vera", "rank": 64}, "all", "vera", {"r": 64, "d_initial": 0.1}),
        ({"type": "loha", "rank": 4}, "all", "loha", {"r": 4, "alpha": 4}),
        ({"type": "lokr", "alpha": 16}, "all", "lokr", {"r": 8, "alpha": 16}),
        ("fourierft", "q_proj,v_proj", "fourierft", {"n_frequency": 1000, "scaling": 300.0}),
        ("prompt", None, "prompt", {"num_virtual_tokens": 20, "prompt_tuning_init": "SAMPLE_VOCAB"}),
        ({"type": "prompt", "init_text": "Say"}, None, "prompt", {"prompt_tuning_init_text": "Say"}),
        ("p_tuning", None, "p_tuning", {"num_virtual_tokens": 20, "encoder_hidden_size": 128}),
        ("p_tuning_v2", None, "prefix", {"num_virtual_tokens": 20}),
    ],
)
def test_a_tuning_becomes_settings_of_peft(tuning, targets, kind, given):
    config = rendered(tuning=tuning).config
    assert config["finetuning_type"] == "lora"
    assert config.get("lora_target") == targets
    assert config["peft"]["kind"] == kind
    assert given.items() <= config["peft"]["arguments"].items()


def test_adalora_has_its_ranks_and_shares():
    config = rendered(tuning={"type": "adalora", "rank": 4, "initial_rank": 6}).config
    assert config["peft"]["arguments"] == {
        "target_r": 4, "init_r": 6, "lora_alpha": 8, "lora_dropout": 0.0, "deltaT": 10,
    }  # fmt: skip
    assert (config["peft"]["warmup_share"], config["peft"]["final_share"]) == (0.1, 0.3)
    assert config["learning_rate"] == 5e-4


def test_lora_is_rendered_as_before():
    assert "peft" not in rendered().config


def test_prefix_trains_without_recomputed_layers_and_says_so():
    plan = rendered(tuning="prefix")
    assert plan.config["disable_gradient_checkpointing"] is True
    assert any("without gradient checkpointing" in sentence for sentence in plan.warnings)
    assert any("cannot be merged" in sentence for sentence in plan.warnings)


def test_a_rate_that_is_high_for_weights_is_usual_for_vectors():
    rate = {"hyperparameters": {"learning_rate": 3e-2}}
    assert any("far above published" in sentence for sentence in rendered(**rate).warnings)
    assert not any("far above published" in sentence for sentence in rendered(tuning="prompt", **rate).warnings)


def test_bitfit_needs_biases():
    assert rendered(QWEN2, tuning="bitfit").config["finetuning_type"] == "full"
    with pytest.raises(UnsupportedError, match="trains biases and llama models have none: use `tuning: ln_tuning`"):
        rendered(tuning="bitfit")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tuning": "prompt", "method": "dpo"}, "tuning prompt cannot be used with dpo: use one of the tunings full,"),
        ({"tuning": "ia3", "sharding": "zero3"}, "sharding zero3 cannot be used with sft: use ddp"),
        ({"tuning": "ia3", "hyperparameters": {"use_unsloth": True}}, "use_unsloth cannot be used with tuning ia3"),
        ({"tuning": "p_tuning", "hyperparameters": {"compute_accuracy": True}}, "compares tokens by place"),
    ],
)
def test_what_peft_cannot_do_is_refused(fields, says):
    with pytest.raises(UnsupportedError, match=says):
        rendered(**fields)


@pytest.mark.parametrize(
    ("tuning", "says"),
    [
        ("prefix-tuning", "is written prefix"),
        ("P-Tuning-v2", "is written p_tuning_v2"),
        ({"type": "adalora", "rank": 12}, "initial_rank 12 must be more than rank 12"),
        ({"type": "adalora", "warmup_share": 0.5, "final_share": 0.5}, "less than 1 together"),
        ({"type": "ia3", "targets": ["k_proj"]}, "feedforward names down_proj, which targets lacks"),
        ({"type": "boft", "rank": 4}, "unknown key 'tuning.rank'"),
    ],
)
def test_what_is_written_wrongly_is_said(tuning, says):
    with pytest.raises(SpecError, match=says):
        parse({"model": "a/b", "dataset": "rows.jsonl", "tuning": tuning}, where="test")


@pytest.mark.parametrize(("tuning", "instead"), [("adapter", "ia3"), ("llama-adapter", "prefix")])
def test_what_no_trainer_has_names_the_nearest(tuning, instead):
    with pytest.raises(UnsupportedError, match=instead):
        parse({"model": "a/b", "dataset": "rows.jsonl", "tuning": tuning}, where="test")


def test_a_tuning_of_peft_is_not_written_as_llamafactorys(spec_folder):
    spec = parse({"model": "./model", "dataset": "train.jsonl", "tuning": "ia3"}, where="test")
    with pytest.raises(UnsupportedError, match="tuning ia3 is none of LLaMA-Factory's own"):
        as_llamafactory(spec, folder=spec_folder, dataset_dir=spec_folder)


def test_memory_knows_what_a_tuning_keeps_beside():
    def terms(tuning):
        estimate = estimate_job(plans.spec(tuning=tuning), config=LLAMA)
        return {term.name: term.bytes for term in estimate.memory.terms}

    lora, boft, vera = terms("lora"), terms("boft"), terms("vera")
    squares = 32 * (6 * 4096**2 + 14336**2)
    assert boft["permutations of boft"] == 4 * squares
    assert vera["shared random matrices"] == 4 * 256 * (14336 + 14336)
    assert "permutations of boft" not in lora
