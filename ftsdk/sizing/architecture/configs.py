"""Model shapes from a config.json: the names that families give to the same sizes, and what they leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.sizing.architecture.families import LLAMA, Family, family_of
from ftsdk.sizing.architecture.hybrid_layers import with_hybrid_layers
from ftsdk.sizing.architecture.shapes import ModelShape

_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim"),
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads"),
    "num_kv_heads": ("num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv"),
    "head_dim": ("head_dim", "kv_channels"),
    "intermediate_size": ("intermediate_size", "ffn_hidden_size", "n_inner", "hidden_dim"),
    "vocab_size": ("vocab_size", "padded_vocab_size"),
    "num_experts": ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    "experts_per_token": ("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts"),
    "expert_intermediate_size": ("moe_intermediate_size", "expert_intermediate_size"),
    "shared_intermediate_size": ("shared_expert_intermediate_size", "shared_intermediate_size"),
    "query_rank": ("q_lora_rank",),
    "kv_rank": ("kv_lora_rank",),
    "rope_dim": ("qk_rope_head_dim",),
    "value_dim": ("v_head_dim",),
}


def shape_of_config(config: ModelConfig) -> ModelShape:
    """Shape from a Hugging Face config.json.

    An unknown `model_type` is read by the common keys and counted like Llama; `notes` then says so.
    Raises KeyError when the config lacks the hidden size, the layers, the heads or the vocabulary.
    """
    text = language_part(config)
    model_type = str(text.get("model_type") or "unknown").removesuffix("_text")
    known = family_of(model_type)
    sizes: dict[str, Any] = {name: _first(text, keys) for name, keys in _KEYS.items()}
    _complete(sizes, text, model_type, known or LLAMA)
    notes = [] if known else [f"unknown model type {model_type!r}: counted like Llama"]
    vision = int(config.get("vision_parameters") or 0)
    if not vision and any(f"{part}_config" in config for part in ("vision", "audio", "thinker")):
        notes.append("the vision or audio part is not counted")
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    shape = ModelShape(
        model_type=model_type,
        tied=bool(tied) if tied is not None else (known or LLAMA).tied,
        family=_flags(known or LLAMA, text, model_type),
        vision_parameters=vision,
        notes=tuple(notes),
        **sizes,
    )
    return with_hybrid_layers(shape, text)


DEFAULT_BITS: Final[dict[str, int]] = {"gptq": 4, "awq": 4, "fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4, "aqlm": 2, "eetq": 8}
"""Bits of a weight where a method's configuration does not say."""


def quantization_of(config: ModelConfig) -> tuple[str | None, int]:
    """Method of quantisation and bits of a weight, as config.json says; (None, 16) if not quantised."""
    settings = language_part(config).get("quantization_config") or config.get("quantization_config")
    if not isinstance(settings, Mapping):
        return None, 16
    method = str(settings.get("quant_method") or "").lower()
    if settings.get("load_in_4bit") or settings.get("_load_in_4bit"):
        return method or "bitsandbytes", 4
    if settings.get("load_in_8bit") or settings.get("_load_in_8bit"):
        return method or "bitsandbytes", 8
    given = (settings.get(key) for key in ("bits", "w_bit", "num_bits", "nbits"))
    bits = next((value for value in given if isinstance(value, int)), 0)
    return method or "an unnamed method", bits or DEFAULT_BITS.get(method, 4)


def language_part(config: ModelConfig) -> ModelConfig:
    """The settings of the language model, with those of the whole behind them."""
    for name in ("thinker_config", "text_config", "llm_config", "language_config"):
        inner = config.get(name)
        if isinstance(inner, Mapping):
            outer = {key: value for key, value in config.items() if key != name}
            return language_part(cast(ModelConfig, {**outer, **inner}))
    return config


def _first(config: ModelConfig, keys: tuple[str, ...]) -> int:
    values = (config.get(key) for key in keys)
    return next((int(value) for value in values if isinstance(value, int | float | str)), 0)


def _complete(sizes: dict[str, int], config: ModelConfig, model_type: str, family: Family) -> None:
    """Fill what a family leaves out of its config, by that family's own rule."""
    for name in ("hidden_size", "num_layers", "num_heads", "vocab_size"):
        if not sizes[name]:
            raise KeyError(name)
    if model_type == "chatglm" and not config.get("multi_query_attention", True):
        sizes["num_kv_heads"] = 0
    if model_type == "falcon" and config.get("multi_query") and not config.get("new_decoder_architecture"):
        sizes["num_kv_heads"] = 1
    if model_type == "qwen":
        sizes["intermediate_size"] //= 2  # Qwen 1 writes the width of both gated halves
    sizes["num_kv_heads"] = sizes["num_kv_heads"] or sizes["num_heads"]
    sizes["head_dim"] = sizes["head_dim"] or sizes["hidden_size"] // sizes["num_heads"]
    sizes["intermediate_size"] = sizes["intermediate_size"] or (family.ffn_ratio or 4) * sizes["hidden_size"]
    if sizes["kv_rank"]:
        sizes["head_dim"] = int(config.get("qk_nope_head_dim") or sizes["head_dim"]) + sizes["rope_dim"]
        sizes["value_dim"] = sizes["value_dim"] or sizes["head_dim"] - sizes["rope_dim"]
    if sizes["num_experts"]:
        _complete_experts(sizes, config, model_type)


def _complete_experts(sizes: dict[str, int], config: ModelConfig, model_type: str) -> None:
    width = sizes["expert_intermediate_size"] or sizes["intermediate_size"]
    sizes["expert_intermediate_size"] = width
    sizes["experts_per_token"] = sizes["experts_per_token"] or 2
    shared = _first(config, ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")) * width
    if model_type in ("llama4", "hunyuan_v1_moe"):
        shared = width
    if model_type == "llama4":
        sizes["intermediate_size"] = int(config.get("intermediate_size_mlp") or width)
    if model_type == "gemma4":  # an MLP beside the experts in each layer
        shared = sizes["intermediate_size"]
    sizes["shared_intermediate_size"] = sizes["shared_intermediate_size"] or shared
    sizes["dense_layers"] = sizes["num_layers"] - _sparse_layers(config, sizes["num_layers"])


def _sparse_layers(config: ModelConfig, layers: int) -> int:
    """Layers with experts, by the keys of the families that mix."""
    kinds = config.get("mlp_layer_types")
    if kinds:
        return sum(kind == "sparse" for kind in kinds)
    step = int(config.get("decoder_sparse_step") or config.get("moe_layer_interval") or 1)
    step = int(config.get("interleave_moe_layer_step") or step)
    first = _first(config, ("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers"))
    last = config.get("moe_layer_end_index")
    end = layers if last in (None, -1) else int(last) + 1
    dense = set(config.get("mlp_only_layers") or ())
    return sum((n + 1) % step == 0 and n not in dense for n in range(first, min(end, layers)))


def _flags(family: Family, config: ModelConfig, model_type: str) -> Family:
    """The family's traits with what this config switches."""
    changes: dict[str, Any] = {}
    if config.get("attention_bias") is not None and family.attention[0] == "q_proj":
        changes["qkv_bias"] = bool(config["attention_bias"])
        output = config.get("attention_out_bias", model_type not in _BIASLESS_OUTPUT)
        changes["o_bias"] = bool(config["attention_bias"]) and bool(output)
    if config.get("use_bias") is not None:  # ERNIE 4.5 and StarCoder 2: everywhere or nowhere
        changes |= dict.fromkeys(("qkv_bias", "o_bias", "mlp_bias"), bool(config["use_bias"]))
    if config.get("use_qkv_bias"):
        changes["qkv_bias"] = True
    if config.get("mlp_bias"):
        changes["mlp_bias"] = True
    if config.get("lm_head_bias"):
        changes["head_bias"] = True
    if model_type in _SWITCHED_NORM:
        changes["qk_norm"] = _SWITCHED_NORM[model_type] if config.get("use_qk_norm") else "none"
    if config.get("new_decoder_architecture"):
        changes["norms"] = 2
    return replace(family, **changes) if changes else family


_BIASLESS_OUTPUT: Final = ("glm", "glm4", "glm4_moe", "glm4v", "glm4v_moe", "qwen2", "qwen2_moe")
"""Families where `attention_bias` means queries, keys and values only."""
_SWITCHED_NORM: Final = {"cohere": "full", "glm4_moe": "head"}
"""Norms of queries and keys that `use_qk_norm` switches on; elsewhere the word changes no count."""
