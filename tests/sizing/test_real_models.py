"""Counts and bytes beside the classes and the tensors of the trainer's own stack."""

from __future__ import annotations

import pytest

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.from_spec import trained_of
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
DELTA = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 8,
    "head_dim": 16,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}
GEMMA4 = {
    "head_dim": 16,
    "global_head_dim": 32,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 500,
    "layer_types": ["sliding_attention", "full_attention", "full_attention"],
}
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
    "cohere": {},
    "cohere ": {"use_qk_norm": True},
    "cohere2": {},
    "arcee": {},
    "apertus": {},
    "ernie4_5": {"head_dim": 16, "use_bias": True},
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 64, "moe_num_shared_experts": 1,
                     "moe_layer_start_index": 1, "moe_layer_end_index": -1, "moe_layer_interval": 1},
    "exaone4": {},
    "helium": {"head_dim": 16},
    "ministral3": {},
    "seed_oss": {"head_dim": 16},
    "stablelm": {"use_qkv_bias": True},
    "starcoder2": {},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"num_experts": 4, "moe_topk": 2, "head_dim": 16},
    "granitemoe": WIDE_EXPERTS,
    "granitemoeshared": {**WIDE_EXPERTS, "shared_intermediate_size": 96},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "phimoe": {**WIDE_EXPERTS, "attention_bias": True, "lm_head_bias": True},
    "minimax_m2": {**WIDE_EXPERTS, "head_dim": 16},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
              "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "head_dim": 16},
    "glm4_moe": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
                 "head_dim": 16, "attention_bias": True, "use_qk_norm": True},
    "llama4_text": {**WIDE_EXPERTS, "intermediate_size_mlp": 480, "interleave_moe_layer_step": 2, "head_dim": 16},
    "qwen3_next": {**EXPERTS, **DELTA, "shared_expert_intermediate_size": 96, "decoder_sparse_step": 1},
    "qwen3_5_text": DELTA,
    "qwen3_5_moe_text": {**EXPERTS, **DELTA, "shared_expert_intermediate_size": 96},
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"], "block_ff_dim": 352},
    "gemma4_text": GEMMA4,
    "gemma4_text ": {**GEMMA4, "num_kv_shared_layers": 1, "use_double_wide_mlp": True},
    "gemma4_text  ": {**GEMMA4, **EXPERTS, "num_experts_per_tok": None, "top_k_experts": 2, "enable_moe_block": True,
                      "hidden_size_per_layer_input": 0, "attention_k_eq_v": True, "num_global_key_value_heads": 1},
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
        ("qwen3_5_text", Lora(rank=4)),
        ("qwen3_next", Lora(rank=4)),
        ("gemma4_text ", Lora(rank=4)),
        ("starcoder2", Lora(rank=4)),
        ("lfm2", Lora(rank=4)),
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
        ("qwen3_moe", "lora", False, 1000),
    ],
)
def test_the_bytes_of_a_step_are_those_that_a_real_step_allocates(family, tuning, checkpointing, vocabulary):
    from bench.sizing.traced import Case, trace

    assert abs(trace(Case(family, tuning, checkpointing, vocabulary)).error) < 0.06
