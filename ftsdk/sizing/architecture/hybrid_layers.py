"""Families whose layers differ among themselves: linear attention or convolutions in most layers, Gemma 4.

Read off the model code in transformers 5.6; `tests/sizing` counts them against the real classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.sizing.architecture.shapes import HybridLayers, Linear, ModelShape


def with_hybrid_layers(s: ModelShape, config: ModelConfig) -> ModelShape:
    """The shape with its `uneven` part, where its family has one."""
    if s.model_type in _DELTA:
        return replace(s, hybrid=_delta(s, config))
    if s.model_type == "lfm2":
        width = _lfm2_width(s, config)
        return replace(s, intermediate_size=width, hybrid=_convolutions(s, config))
    if s.model_type != "gemma4":
        return s
    hybrid = _gemma4(s, config)
    heads = sum(linear.outputs * linear.number for linear in hybrid.attention if linear.name == "q_proj")
    return replace(s, head_dim=heads // (s.num_heads * s.num_layers), hybrid=hybrid)


def _full_layers(s: ModelShape, config: ModelConfig, every: int) -> int:
    """Layers with ordinary attention: as listed, else every so many."""
    kinds: Sequence[str] = config.get("layer_types") or ()
    if kinds:
        return Counter(kinds)["full_attention"]
    listed: Sequence[int] = config.get("full_attn_idxs") or ()
    return len(listed) or s.num_layers // int(config.get("full_attention_interval") or every)


def _ordinary(s: ModelShape, number: int, output: str = "o_proj", *, gated: bool = False) -> tuple[Linear, ...]:
    """Queries (with a gate as wide), keys, values and output of so many layers."""
    return (
        Linear("q_proj", s.hidden_size, s.q_width * (1 + gated), number),
        Linear("k_proj", s.hidden_size, s.kv_width, number),
        Linear("v_proj", s.hidden_size, s.kv_width, number),
        Linear(output, s.q_width, s.hidden_size, number),
    )


# --- Qwen3-Next, Qwen3.5: gated delta networks ------------------------------------------------------
_DELTA: Final = ("qwen3_next", "qwen3_5", "qwen3_5_moe")


def _delta(s: ModelShape, config: ModelConfig) -> HybridLayers:
    full = _full_layers(s, config, every=4)
    number, heads = s.num_layers - full, int(config["linear_num_value_heads"])
    keys = int(config["linear_num_key_heads"]) * int(config["linear_key_head_dim"])
    values = heads * int(config["linear_value_head_dim"])
    mixed = 2 * keys + values
    if s.model_type == "qwen3_next":
        inputs = {"in_proj_qkvz": mixed + values, "in_proj_ba": 2 * heads}
    else:
        inputs = {"in_proj_qkv": mixed, "in_proj_z": values, "in_proj_b": heads, "in_proj_a": heads}
    linears = (Linear(name, s.hidden_size, width, number) for name, width in inputs.items())
    a_layer = mixed * int(config["linear_conv_kernel_dim"]) + 2 * heads + int(config["linear_value_head_dim"])
    return HybridLayers(
        attention=(*_ordinary(s, full, gated=True), *linears, Linear("out_proj", values, s.hidden_size, number)),
        attention_rest=number * a_layer + full * 2 * s.head_dim,
    )


# --- LFM2: short convolutions -------------------------------------------------------------------------
def _convolutions(s: ModelShape, config: ModelConfig) -> HybridLayers:
    full = _full_layers(s, config, every=1)
    number, h = s.num_layers - full, s.hidden_size
    bias = 5 * h if config.get("conv_bias") else 0
    return HybridLayers(
        attention=(
            *_ordinary(s, full, "out_proj"), Linear("in_proj", h, 3 * h, number), Linear("out_proj", h, h, number),
        ),
        attention_rest=number * (h * int(config["conv_L_cache"]) + bias) + full * 2 * s.head_dim,
    )  # fmt: skip


def _lfm2_width(s: ModelShape, config: ModelConfig) -> int:
    width = int(config.get("block_ff_dim") or s.intermediate_size)
    if not config.get("block_auto_adjust_ff_dim", True):
        return width
    unit = int(config.get("block_multiple_of") or 256)
    return -(-int(float(config.get("block_ffn_dim_multiplier") or 1) * (2 * width // 3)) // unit) * unit


# --- Gemma 4: wider global heads, shared keys and values, an embedding for each layer -----------------
def _gemma4(s: ModelShape, config: ModelConfig) -> HybridLayers:
    others = ["sliding_attention"] * (int(config.get("full_attention_interval") or 6) - 1)
    kinds = list(config.get("layer_types") or [*others, "full_attention"] * s.num_layers)
    own_layers = s.num_layers - int(config.get("num_kv_shared_layers") or 0)
    layers = Counter((kind == "full_attention", n < own_layers) for n, kind in enumerate(kinds[: s.num_layers]))
    attention: list[Linear] = []
    rest = 0
    for (is_global, own), number in layers.items():
        linears, heads = _gemma4_attention(s, config, is_global=is_global, own=own, number=number)
        attention += linears
        rest += heads
    a_layer = int(config.get("hidden_size_per_layer_input") or 0)
    rows = int(config.get("vocab_size_per_layer_input") or s.vocab_size)
    further = a_layer + s.num_layers * s.hidden_size if a_layer else 0
    if s.num_experts:  # three more norms, and the router's scales
        further += s.num_layers * (4 * s.hidden_size + s.num_experts)
    return HybridLayers(
        attention=tuple(attention),
        attention_rest=rest,
        mlp=_gemma4_mlp(s, config, s.num_layers - own_layers, a_layer),
        embeddings=rows * s.num_layers * a_layer,
        norms=further,
    )


def _gemma4_attention(
    s: ModelShape, config: ModelConfig, *, is_global: bool, own: bool, number: int
) -> tuple[list[Linear], int]:
    """Linear layers and norms of layers of one kind. `own`: they have keys and values of their own."""
    head = int((config.get("global_head_dim") if is_global else 0) or s.head_dim)
    same = bool(config.get("attention_k_eq_v")) and is_global
    kv_heads = int((config.get("num_global_key_value_heads") if same else 0) or s.num_kv_heads)
    h, q = s.hidden_size, s.num_heads * head
    linears = [Linear("q_proj", h, q, number), Linear("o_proj", q, h, number)]
    if own:
        names = ("k_proj",) if same else ("k_proj", "v_proj")
        linears += [Linear(name, h, kv_heads * head, number) for name in names]
    return linears, number * head * (1 + own)


def _gemma4_mlp(s: ModelShape, config: ModelConfig, shared: int, a_layer: int) -> tuple[Linear, ...]:
    """The MLPs, twice as wide in layers without own keys and values, and the inputs of each layer."""
    wide = shared if config.get("use_double_wide_mlp") else 0
    h, total, linears = s.hidden_size, s.num_layers, list[Linear]()
    for width, number in ((s.intermediate_size, total - wide), (2 * s.intermediate_size, wide)):
        linears += [Linear(name, h, width, number) for name in ("gate_proj", "up_proj")] * bool(number)
        linears += [Linear("down_proj", width, h, number)] * bool(number)
    if a_layer:
        linears += [
            Linear("per_layer_input_gate", h, a_layer, total),
            Linear("per_layer_projection", a_layer, h, total),
            Linear("per_layer_model_projection", h, total * a_layer, 1),
        ]
    return tuple(linears)
