"""How model families differ where counting is concerned: biases, norms, names of the linear layers, defaults.

The flags are read off the model code in transformers; `tests/sizing` counts them against the real classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Split = tuple[str, ...]
_LLAMA_ATTENTION: Final[Split] = ("q_proj", "k_proj", "v_proj", "o_proj")
_LLAMA_MLP: Final[Split] = ("gate_proj", "up_proj", "down_proj")
_CHATGLM_ATTENTION: Final[Split] = ("query_key_value", "dense")
_NEOX_MLP: Final[Split] = ("dense_h_to_4h", "dense_4h_to_h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Traits of one `model_type`. The defaults are Llama's."""

    attention: Split = _LLAMA_ATTENTION
    """Names of the attention's linear layers: q, k, v, o, or (fused) qkv, o."""
    mlp: Split = _LLAMA_MLP
    """Names of the MLP's linear layers: gate, up, down; (fused) gate_up, down; or, ungated, up, down."""
    gated: bool = True
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    """The output layer has a bias."""
    norms: int = 2
    """Norms of the hidden size in each layer."""
    norm_bias: bool = False
    embedding_norm: bool = False
    qk_norm: Literal["none", "head", "full"] = "none"
    """Norms on queries and keys: none, one per head, or one over all heads."""
    router_bias: bool = False
    expert_bias: bool = False
    shared_gate: bool = False
    """A sigmoid gate in front of the shared expert."""
    sinks: bool = False
    """One learned attention sink per head."""
    learned_activation: int = 0
    """Learned numbers in the activation of a layer."""
    softcap: bool = False
    """Logits pass through a tanh, which keeps one more copy of them."""
    flash: frozenset[str] = frozenset({"auto", "sdpa", "fa2", "fa3"})
    """Values of `flash_attn` with which LLaMA-Factory trains it on a kernel that keeps no attention scores."""
    tied: bool = False
    """Embedding and output layer share their weights when the config does not say."""
    ffn_ratio: int = 0
    """Feed-forward width over hidden size, for families whose config does not give it."""


LLAMA: Final = Family()
_QWEN2: Final = Family(qkv_bias=True)
_CHATGLM: Final = Family(attention=_CHATGLM_ATTENTION, mlp=_NEOX_MLP, qkv_bias=True)
_GEMMA: Final = Family(tied=True)

FAMILIES: Final[dict[str, Family]] = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "ministral": LLAMA,
    "mixtral": LLAMA,
    "yi": LLAMA,
    "olmo": Family(norms=0),  # norms without weights
    "deepseek": LLAMA,
    "glm4_moe_lite": Family(router_bias=True),
    "granite": LLAMA,
    "granitemoe": LLAMA,
    "granitemoeshared": LLAMA,
    "ministral3": LLAMA,
    "helium": LLAMA,
    "mistral3": LLAMA,
    "mllama": LLAMA,
    "mllama_text_model": LLAMA,
    "qwen2_5_omni": _QWEN2,
    "qwen2_5_omni_thinker": _QWEN2,
    "qwen3_omni_moe_thinker": Family(qk_norm="head"),
    "llama4": LLAMA,
    "ernie4_5": Family(tied=True),
    "ernie4_5_moe": Family(router_bias=True, tied=True),
    "seed_oss": Family(qkv_bias=True),
    "hunyuan_v1_dense": Family(qk_norm="head"),
    "hunyuan_v1_moe": Family(qk_norm="head"),
    "exaone4": Family(qk_norm="head"),
    "cohere": Family(norms=1, tied=True),
    "cohere2": Family(norms=1, tied=True),
    "arcee": Family(mlp=("up_proj", "down_proj"), gated=False),
    "apertus": Family(mlp=("up_proj", "down_proj"), gated=False, qk_norm="head", learned_activation=2),
    "starcoder2": Family(
        mlp=("c_fc", "c_proj"), gated=False, qkv_bias=True, o_bias=True, mlp_bias=True, norm_bias=True, tied=True
    ),
    "stablelm": Family(norm_bias=True),
    "smollm3": Family(tied=True),
    "minicpm": Family(tied=True),
    "minicpm3": LLAMA,
    "deepseek_v2": LLAMA,
    "deepseek_v3": Family(router_bias=True),
    "kimi_k2": Family(router_bias=True),
    "dots1": Family(qk_norm="head", router_bias=True),
    "glm4_moe": Family(qkv_bias=True, router_bias=True),
    "glm4v_moe": Family(qkv_bias=True, router_bias=True),
    "glm4v": Family(mlp=("gate_up_proj", "down_proj"), qkv_bias=True, norms=4),
    "minimax_m2": Family(qk_norm="full", router_bias=True),
    "olmoe": Family(qk_norm="full"),
    "phimoe": Family(norm_bias=True),
    "lfm2": Family(mlp=("w1", "w3", "w2"), qk_norm="head", tied=True),
    "internlm2": Family(attention=("wqkv", "wo"), mlp=("w1", "w3", "w2")),
    "internlm3": LLAMA,
    "baichuan": Family(attention=("W_pack", "o_proj")),
    "qwen": Family(attention=("c_attn", "c_proj"), mlp=("w2", "w1", "c_proj"), qkv_bias=True),
    "qwen2": _QWEN2,
    "qwen2_vl": _QWEN2,
    "qwen2_5_vl": _QWEN2,
    "qwen2_moe": Family(qkv_bias=True, shared_gate=True),
    "qwen3": Family(qk_norm="head"),
    "qwen3_vl": Family(qk_norm="head"),
    "qwen3_moe": Family(qk_norm="head"),
    "qwen3_vl_moe": Family(qk_norm="head"),
    "qwen3_omni_moe": Family(qk_norm="head"),
    "qwen3_next": Family(qk_norm="head", shared_gate=True),
    "qwen3_5": Family(qk_norm="head"),
    "qwen3_5_moe": Family(qk_norm="head", shared_gate=True),
    "gemma": _GEMMA,
    # its scores pass through a tanh, which needs FlashAttention 2; without that package `auto` means eager
    "gemma2": Family(norms=4, softcap=True, flash=frozenset({"sdpa", "fa2"}), tied=True),
    "gemma3": Family(norms=4, qk_norm="head", tied=True),
    "gemma4": Family(norms=4, qk_norm="head", softcap=True, tied=True),
    "phi": Family(
        attention=("q_proj", "k_proj", "v_proj", "dense"),
        mlp=("fc1", "fc2"),
        gated=False,
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
        head_bias=True,
        norms=1,
        norm_bias=True,
    ),
    "phi3": Family(attention=("qkv_proj", "o_proj"), mlp=("gate_up_proj", "down_proj")),
    "chatglm": _CHATGLM,
    "glm": Family(mlp=("gate_up_proj", "down_proj"), qkv_bias=True),
    "glm4": Family(mlp=("gate_up_proj", "down_proj"), qkv_bias=True, norms=4),
    "olmo2": Family(qk_norm="full"),
    "olmo3": Family(qk_norm="full"),
    "gpt_oss": Family(qkv_bias=True, o_bias=True, router_bias=True, expert_bias=True, sinks=True),
    "falcon": Family(
        attention=_CHATGLM_ATTENTION, mlp=_NEOX_MLP, gated=False, norms=1, norm_bias=True, tied=True, ffn_ratio=4
    ),
    "bloom": Family(
        attention=_CHATGLM_ATTENTION,
        mlp=_NEOX_MLP,
        gated=False,
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
        norm_bias=True,
        embedding_norm=True,
        flash=frozenset(),
        tied=True,
        ffn_ratio=4,
    ),
    "gpt_neox": Family(
        attention=_CHATGLM_ATTENTION,
        mlp=_NEOX_MLP,
        gated=False,
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
        norm_bias=True,
    ),
    "gpt2": Family(
        attention=("c_attn", "c_proj"),
        mlp=("c_fc", "c_proj"),
        gated=False,
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
        norm_bias=True,
        tied=True,
        ffn_ratio=4,
    ),
    "mpt": Family(
        attention=("Wqkv", "out_proj"),
        mlp=("up_proj", "down_proj"),
        gated=False,
        flash=frozenset(),
        tied=True,
        ffn_ratio=4,
    ),
}


def family_of(model_type: str) -> Family | None:
    """Traits of a `model_type`, or None when ftsdk does not know it (it is then counted like Llama)."""
    return FAMILIES.get(model_type)
