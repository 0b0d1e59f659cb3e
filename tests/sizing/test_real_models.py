"""Counts and bytes beside the classes and the tensors of the trainer's own stack."""

from __future__ import annotations

import pytest

from ftsdk.sizing.from_spec import trained_of
from ftsdk.sizing.shapes import shape_of_config
from ftsdk.spec import JobSpec, Lora, Oft

pytestmark = pytest.mark.trainer

BASE = {
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
    "vocab_size": 1000,
    "pad_token_id": 0,
    "max_position_embeddings": 64,
}
WIDE_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
OLD_KEYS = {"intermediate_size": None, "num_key_value_heads": None}
LATENT = {"kv_lora_rank": 32, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16, "q_lora_rank": 48}
FAMILIES = {
    "llama": {},
    "llama ": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    "mistral": {},
    "qwen2": {},
    "qwen3": {"head_dim": 32},
    "gemma": {"head_dim": 32},
    "gemma2": {"head_dim": 32},
    "gemma3_text": {"head_dim": 32},
    "phi": {},
    "phi3": {},
    "glm": {"head_dim": 16, "attention_bias": True},
    "glm4": {"head_dim": 16, "attention_bias": True},
    "granite": {},
    "smollm3": {},
    "olmo2": {},
    "mixtral": WIDE_EXPERTS,
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 96, "decoder_sparse_step": 1},
    "qwen3_moe": {**EXPERTS, "head_dim": 16, "decoder_sparse_step": 1},
    "gpt_oss": {**WIDE_EXPERTS, "head_dim": 16},
    "deepseek_v2": {**LATENT, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
                    "n_shared_experts": 2, "first_k_dense_replace": 1, "num_key_value_heads": 8},
    "deepseek_v3": {**LATENT, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
                    "n_shared_experts": 1, "first_k_dense_replace": 1, "num_key_value_heads": 8, "n_group": 2,
                    "topk_group": 1},
    "falcon": {**OLD_KEYS, "multi_query": True, "new_decoder_architecture": False, "bias": False},
    "bloom": OLD_KEYS,
    "gpt_neox": {"num_key_value_heads": None},
    "gpt2": OLD_KEYS,
}  # fmt: skip


def model_of(family):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = {name: value for name, value in {**BASE, **FAMILIES[family]}.items() if value is not None}
    config = AutoConfig.for_model(family.strip(), **settings)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config), config.to_dict()


def parameters_of(model):
    """All that a checkpoint holds: DeepSeek 3 keeps its routers' biases as buffers. Learned positions are left out."""
    counted = sum(p.numel() for name, p in model.named_parameters() if not name.endswith("wpe.weight"))
    return counted + sum(b.numel() for name, b in model.named_buffers() if name.endswith("e_score_correction_bias"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_count_is_that_of_the_real_class(family):
    model, config = model_of(family)
    shape = shape_of_config(config)
    assert shape.parameters.total == parameters_of(model)
    assert shape.notes == ()


@pytest.mark.parametrize(
    ("family", "tuning"),
    [
        ("llama", Lora(rank=4)),
        ("qwen3", Lora(rank=4, dora=True)),
        ("phi3", Lora(rank=4)),
        ("glm4", Lora(rank=4)),
        ("qwen3_moe", Lora(rank=4)),
        ("deepseek_v3", Lora(rank=4)),
        ("llama", Lora(rank=4, targets=("q_proj", "down_proj"))),
        ("llama", Oft(block_size=32)),
    ],
)
def test_the_trained_count_is_peft_s(family, tuning):
    from peft import LoraConfig, OFTConfig, get_peft_model

    model, config = model_of(family)
    targets = "all-linear" if "all" in tuning.targets else list(tuning.targets)
    if isinstance(tuning, Oft):
        peft = OFTConfig(oft_block_size=tuning.block_size, r=0, target_modules=targets, task_type="CAUSAL_LM")
    else:
        peft = LoraConfig(r=tuning.rank, use_dora=tuning.dora, target_modules=targets, task_type="CAUSAL_LM")
    real = sum(p.numel() for p in get_peft_model(model, peft).parameters() if p.requires_grad)
    spec = JobSpec(model="x", tuning=tuning, dataset="rows.jsonl")
    assert trained_of(spec, shape_of_config(config)).parameters == real


@pytest.mark.parametrize(
    ("family", "tuning", "checkpointing", "vocabulary"),
    [
        ("llama", "lora", True, 20_000),
        ("llama", "lora", False, 20_000),
        ("llama", "lora", True, 1000),
        ("llama", "bf16", True, 1000),
        ("llama", "amp", False, 20_000),
        ("qwen3", "bf16", False, 20_000),
        ("gemma2", "lora", False, 20_000),
        ("phi3", "lora", False, 20_000),
    ],
)
def test_the_bytes_of_a_step_are_those_that_a_real_step_allocates(family, tuning, checkpointing, vocabulary):
    from bench.sizing.traced import Case, trace

    assert abs(trace(Case(family, tuning, checkpointing, vocabulary)).error) < 0.06
