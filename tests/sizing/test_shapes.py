"""Shapes: exact counts from a config, from the bundled table, or from a size."""

from __future__ import annotations

import pytest

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.from_spec import trained_of
from ftsdk.sizing.tables import config_of_row, rows, shape_of_model
from ftsdk.spec import Freeze, Full, JobSpec, Lora, Oft

PUBLISHED = [row for row in rows("models.csv") if row["published_parameters"]]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["hub"])
def test_the_count_is_the_published_one(row):
    assert shape_of_config(config_of_row(row)).parameters.total == int(row["published_parameters"])


def test_counts_by_module_are_those_of_the_tensors():
    counts = shape_of_model("Qwen/Qwen2.5-7B-Instruct").parameters
    assert counts.embeddings == counts.lm_head == 152064 * 3584
    assert counts.mlp == 28 * 3 * 3584 * 18944
    assert counts.attention == 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3584 + 2 * 512)
    assert counts.norms == 57 * 3584
    assert counts.experts == counts.routers == counts.vision == 0


def test_a_token_passes_through_few_experts_only():
    shape = shape_of_model("Qwen/Qwen3-30B-A3B")
    assert shape.active_linear + shape.parameters.embeddings == pytest.approx(3.3e9, rel=0.03)  # "A3B" is 3.3 billion


@pytest.mark.parametrize(
    ("model", "tuning", "trained"),
    [
        # trainable parameters as PEFT prints them for r=16 on all linear layers
        ("Qwen/Qwen3-8B", Lora(rank=16), 43_646_976),
        ("meta-llama/Llama-3.1-8B", Lora(rank=16), 41_943_040),
        ("Qwen/Qwen2.5-7B", Lora(rank=16), 40_370_176),
        ("meta-llama/Llama-2-7b-hf", Lora(rank=8, targets=("q_proj", "v_proj")), 4_194_304),
        ("Qwen/Qwen2.5-0.5B", Full(), 494_032_768),
        ("meta-llama/Llama-3.1-8B", Freeze(trainable_layers=2), 2 * 218_103_808),
    ],
)
def test_trained_parameters_of_a_tuning(model, tuning, trained):
    spec = JobSpec(model=model, tuning=tuning, dataset="rows.jsonl")
    assert trained_of(spec, shape_of_model(model)).parameters == trained


def test_modules_that_are_trained_beside_the_adapters_count_whole():
    extra = {"additional_target": "embed_tokens,lm_head"}
    spec = JobSpec(model="Qwen/Qwen3-8B", dataset="rows.jsonl", hyperparameters=extra)
    plain = spec.model_copy(update={"hyperparameters": type(spec.hyperparameters)()})
    shape = shape_of_model("Qwen/Qwen3-8B")
    more = trained_of(spec, shape).parameters - trained_of(plain, shape).parameters
    assert more == 2 * 151_936 * 4096


def test_targets_that_the_model_does_not_have_are_named():
    spec = JobSpec(model="Qwen/Qwen3-8B", tuning=Oft(targets=("q_proj", "c_attn")), dataset="rows.jsonl")
    found = trained_of(spec, shape_of_model("Qwen/Qwen3-8B"))
    assert [linear.name for linear in found.adapted] == ["q_proj"]
    assert "c_attn" in found.notes[0]


def test_an_unknown_model_type_is_read_by_the_common_keys_with_a_note():
    config = {
        "model_type": "brandnew",
        "n_embd": 2048,
        "n_layer": 24,
        "n_head": 16,
        "vocab_size": 50_000,
        "intermediate_size": 5504,
    }
    shape = shape_of_config(config)
    assert shape.parameters.total == 2 * 50_000 * 2048 + 24 * (4 * 2048**2 + 3 * 2048 * 5504 + 2 * 2048) + 2048
    assert shape.notes == ("unknown model type 'brandnew': counted like Llama",)


def test_a_config_without_a_size_is_refused_by_the_missing_key():
    with pytest.raises(KeyError, match="vocab_size"):
        shape_of_config({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2})


def test_the_text_part_of_a_multimodal_config_counts_and_the_rest_is_named():
    text = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 99,
        "model_type": "qwen2",
    }
    shape = shape_of_config({"model_type": "qwen2_5_vl", "text_config": text, "vision_config": {"depth": 32}})
    assert (shape.hidden_size, shape.model_type) == (64, "qwen2")
    assert "vision" in shape.notes[0]


def test_a_vision_config_of_transformers_5_counts_like_its_language_model():
    text = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 99,
        "intermediate_size": 128,
    }
    whole = {"model_type": "qwen2_5_vl", "text_config": {**text, "model_type": "qwen2_5_vl_text"}, "vision_config": {}}
    shape = shape_of_config(whole)
    assert shape.parameters == shape_of_config({**text, "model_type": "qwen2"}).parameters
    assert shape.notes == ("the vision or audio part is not counted",)
    nested = shape_of_config({"model_type": "qwen3_omni_moe", "thinker_config": whole})
    assert nested.parameters == shape.parameters


def test_layers_with_experts_are_read_from_the_keys_of_each_family():
    base = {"hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4, "vocab_size": 99}
    for words, dense in (
        ({"model_type": "deepseek_v3", "n_routed_experts": 4, "first_k_dense_replace": 2}, 2),
        ({"model_type": "qwen3_moe", "num_experts": 4, "decoder_sparse_step": 2}, 3),
        ({"model_type": "qwen3_moe", "num_experts": 4, "mlp_only_layers": [0, 5]}, 2),
        ({"model_type": "llama4_text", "num_local_experts": 4, "interleave_moe_layer_step": 3}, 4),
        ({"model_type": "ernie4_5_moe", "moe_num_experts": 4, "moe_layer_start_index": 1, "moe_layer_end_index": 3}, 3),
        ({"model_type": "glm4_moe", "n_routed_experts": 4, "mlp_layer_types": ["dense"] + ["sparse"] * 5}, 1),
    ):
        assert shape_of_config({**base, "intermediate_size": 128, **words}).dense_layers == dense, words
