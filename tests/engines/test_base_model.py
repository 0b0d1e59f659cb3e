"""What config.json says about a base model is heeded when a job is planned."""

from __future__ import annotations

import json

import pytest

from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.errors import UnsupportedError
from ftsdk.facts import inspect
from ftsdk.plan.build import estimate_of
from ftsdk.sizing.architecture.configs import quantization_of
from ftsdk.spec.loading import parse

CONFIG = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 896, "num_hidden_layers": 24,
          "num_attention_heads": 14, "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936,
          "max_position_embeddings": 1024}  # fmt: skip
QUANTIZED = {
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 4),
    "gptq in 8": ({"quant_method": "gptq", "bits": 8}, 8),
    "awq": ({"quant_method": "awq", "bits": 4, "version": "gemm"}, 4),
    "an older awq": ({"quant_method": "awq", "w_bit": 4}, 4),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4),
    "bitsandbytes in 8": ({"quant_method": "bitsandbytes", "_load_in_8bit": True}, 8),
    "fp8": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8),
    "mxfp4": ({"quant_method": "mxfp4"}, 4),
}


@pytest.fixture
def look(spec_folder):
    """Spec and facts of a job on a model with another config.json."""

    def make(changed, **fields):
        (spec_folder / "model" / "config.json").write_text(json.dumps({**CONFIG, **changed}))
        spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
        return spec, inspect(spec, folder=spec_folder)

    return make


def rendered(spec, facts):
    return render(spec, facts, Layout(durable="/d", scratch="/s", inputs={}))


@pytest.mark.parametrize("name", QUANTIZED)
def test_the_bits_of_a_weight_are_read(name):
    settings, bits = QUANTIZED[name]
    assert quantization_of({"quantization_config": settings}) == (settings["quant_method"], bits)
    assert quantization_of({"text_config": {"quantization_config": settings}})[1] == bits


@pytest.mark.parametrize("name", ["gptq", "awq", "bitsandbytes in 8"])
@pytest.mark.parametrize("tuning", ["full", "freeze", {"type": "lora", "pissa": True}])
def test_quantised_weights_are_not_trained(look, name, tuning):
    with pytest.raises(UnsupportedError, match="the base is quantised"):
        rendered(*look({"quantization_config": QUANTIZED[name][0]}, tuning=tuning))


@pytest.mark.parametrize("name", ["gptq", "awq"])
def test_lora_on_a_quantised_base_says_which_package_it_needs(look, name):
    made = rendered(*look({"quantization_config": QUANTIZED[name][0]}, tuning="lora"))
    assert any("needs " + {"gptq": "gptqmodel", "awq": "autoawq"}[name] in sentence for sentence in made.warnings)


@pytest.mark.parametrize("name", ["fp8", "mxfp4"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_dequantised_base_takes_every_tuning(look, name, tuning):
    made = rendered(*look({"quantization_config": QUANTIZED[name][0]}, tuning=tuning))
    assert any("turned into 16 bits" in sentence for sentence in made.warnings)


def test_a_quantised_base_is_counted_in_its_bits(look):
    plain = estimate_of(*look({}, tuning="lora")).memory.total_gib
    assert estimate_of(*look({"quantization_config": QUANTIZED["awq"][0]})).memory.total_gib < plain
    assert estimate_of(*look({"quantization_config": QUANTIZED["fp8"][0]})).memory.total_gib == plain


@pytest.mark.parametrize(
    "changed",
    [
        {"architectures": ["Qwen2ForSequenceClassification"]},
        {"architectures": ["Qwen2ForRewardModel"]},
        {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
        {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
    ],
)
def test_a_base_without_a_causal_head_is_refused(look, changed):
    with pytest.raises(UnsupportedError, match="without a causal language model's head"):
        rendered(*look(changed))


@pytest.mark.parametrize("architecture", ["Qwen2ForCausalLM", "GPT2LMHeadModel", "Qwen2_5_VLForConditionalGeneration"])
def test_a_base_with_a_causal_head_is_accepted(look, architecture):
    assert rendered(*look({"architectures": [architecture]}))


@pytest.mark.parametrize(("cutoff", "said"), [(4096, True), (1024, False)])
def test_rows_beyond_the_context_give_a_warning(look, cutoff, said):
    made = rendered(*look({}, hyperparameters={"cutoff_len": cutoff, "neat_packing": True}))
    assert any("longer than the model's context of 1,024" in sentence for sentence in made.warnings) is said


def test_positions_that_do_not_exist_are_refused(look):
    with pytest.raises(UnsupportedError, match="gpt2 has 1,024 positions"):
        rendered(*look({"model_type": "gpt2"}, hyperparameters={"cutoff_len": 2048, "neat_packing": True}))


def test_a_second_copy_of_a_tied_embedding_gives_a_warning(look):
    made = rendered(*look({"tie_word_embeddings": True}, hyperparameters={"additional_target": "lm_head"}))
    assert any("trains a copy of it" in sentence for sentence in made.warnings)


def test_an_embedding_model_gives_a_warning(look, spec_folder):
    (spec_folder / "model" / "modules.json").write_text("[]")
    assert any("is an embedding model" in sentence for sentence in rendered(*look({})).warnings)
