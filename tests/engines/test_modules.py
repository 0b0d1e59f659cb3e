"""Names of modules in a spec, compared with those in the model's weights or its architecture."""

from __future__ import annotations

import json
import struct

import pytest

from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.errors import SpecError
from ftsdk.facts import inspect
from ftsdk.facts.weights import read_modules
from ftsdk.spec.loading import parse

LAYERS = 2
INSIDE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
          "mlp.up_proj", "mlp.down_proj")  # fmt: skip
CONFIG = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2,
          "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 512,
          "tie_word_embeddings": True}  # fmt: skip


def write_weights(file, tensors):
    """A safetensors file without the numbers: nothing here reads them."""
    header = json.dumps({name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors})
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode())


@pytest.fixture
def folder(spec_folder):
    """A model with weights of two layers, in two files."""
    inside = [(f"model.layers.{n}.{name}.weight", [64, 64]) for n in range(LAYERS) for name in INSIDE]
    norms = [(f"model.layers.{n}.input_layernorm.weight", [64]) for n in range(LAYERS)]
    write_weights(spec_folder / "model" / "a.safetensors", [("model.embed_tokens.weight", [512, 64]), *inside])
    write_weights(spec_folder / "model" / "b.safetensors", [("model.norm.weight", [64]), *norms])
    (spec_folder / "model" / "config.json").write_text(json.dumps(CONFIG))
    return spec_folder


def config_of(folder, **fields):
    spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
    return render(spec, inspect(spec, folder=folder), Layout(durable="/d", scratch="/s", inputs={})).config


def test_the_headers_name_the_modules(folder):
    modules = read_modules(folder / "model")
    assert "model.layers.1.mlp.up_proj" in modules.matrices
    assert "model.norm" in modules.names and "model.norm" not in modules.matrices


@pytest.mark.parametrize("content", [b"", b"\xff" * 16, struct.pack("<Q", 4) + b"[1]]", struct.pack("<Q", 1 << 60)])
def test_a_broken_header_is_unknown(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    assert read_modules(tmp_path) is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tuning": {"type": "lora", "targets": ["q_proj", "v_porj"]}}, r"no module 'v_porj' .*did you mean 'v_proj'"),
        ({"tuning": {"type": "oft", "targets": ["q_proj", "down_prj"]}}, "did you mean 'down_proj'"),
        ({"tuning": {"type": "lora", "targets": ["q_proj", "layernorm"]}}, "no module 'layernorm'"),
        (
            {"tuning": {"type": "lora", "targets": ["q_proj", "input_layernorm"]}},
            "no module 'input_layernorm'",
        ),
        ({"hyperparameters": {"additional_target": "embed_token"}}, "did you mean 'embed_tokens'"),
        ({"hyperparameters": {"additional_target": "embed_tokens,lmhead"}}, "did you mean 'lm_head'"),
        ({"tuning": {"type": "freeze", "trainable_modules": ["mpl"]}}, "did you mean 'mlp'"),
        ({"tuning": {"type": "freeze", "extra_modules": ["nrom"]}}, "did you mean 'norm'"),
        ({"tuning": {"type": "freeze", "trainable_layers": 9}}, "the model has 2 layers"),
        ({"tuning": {"type": "freeze", "trainable_layers": 0}}, "the model has 2 layers"),
        ({"tuning": "full", "hyperparameters": {"use_galore": True, "galore_target": "mpl"}}, "galore_target"),
        ({"tuning": {"type": "lora", "targets": ["q_proj("]}}, "is no regular expression"),
        ({"tuning": {"type": "lora", "targets": [r"layers\.\d+\.q_proj"]}}, "begin it with"),
    ],
)
def test_a_name_that_the_model_lacks_is_refused(folder, fields, says):
    with pytest.raises(SpecError, match=says):
        config_of(folder, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"tuning": {"type": "lora", "targets": ["q_proj", "mlp.up_proj", "layers.0.self_attn.v_proj"]}},
        {"tuning": {"type": "freeze", "trainable_modules": ["mlp", "self_attn"], "extra_modules": ["norm"]}},
        {"tuning": {"type": "freeze", "trainable_layers": -2}},
        {"hyperparameters": {"additional_target": "embed_tokens,lm_head"}},
        {"hyperparameters": {"additional_target": "mlp"}},
    ],
)
def test_names_that_the_model_has_are_accepted(folder, fields):
    assert config_of(folder, **fields)


def test_an_expression_becomes_the_modules_that_it_matches(folder):
    tuning = {"type": "lora", "targets": [r".*\.0\..*\.[qv]_proj"]}
    assert config_of(folder, tuning=tuning)["lora_target"] == (
        "model.layers.0.self_attn.q_proj,model.layers.0.self_attn.v_proj"
    )


def test_without_weights_misspelt_targets_are_detected_by_the_architecture(folder):
    for file in (folder / "model").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(SpecError, match="did you mean 'v_proj'"):
        config_of(folder, tuning={"type": "lora", "targets": ["q_proj", "v_porj"]})
    with pytest.raises(SpecError, match="not on this machine"):
        config_of(folder, tuning={"type": "lora", "targets": [".*q_proj"]})
    assert config_of(folder, tuning={"type": "lora", "targets": ["some_adapter_of_a_fork"]})


def test_a_model_on_a_hub_is_known_by_its_architecture(folder):
    with pytest.raises(SpecError, match="did you mean 'v_proj'"):
        config_of(folder, model="Qwen/Qwen3-8B", tuning={"type": "lora", "targets": ["q_proj", "v_porj"]})
