"""A model's config.json: the keys that are read, under the names that transformers and the models' authors use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict


class ModelConfig(TypedDict, total=False):
    """Keys of a config.json; every one may be missing or null. Sizes that families name differently are read by
    `configs.shape_of_config`."""

    model_type: str
    architectures: Sequence[str] | None
    auto_map: Mapping[str, object] | None
    is_encoder_decoder: bool
    tie_word_embeddings: bool | None
    quantization_config: Mapping[str, object] | None
    vision_parameters: int | None
    text_config: ModelConfig | None
    """Settings of the language model inside one for several kinds of input."""
    max_position_embeddings: int
    n_positions: int
    seq_length: int

    # Attention and biases
    multi_query: bool
    multi_query_attention: bool
    new_decoder_architecture: bool
    qk_nope_head_dim: int | None
    attention_bias: bool | None
    attention_out_bias: bool
    use_bias: bool | None
    use_qkv_bias: bool
    use_qk_norm: bool
    mlp_bias: bool
    lm_head_bias: bool

    # Experts
    intermediate_size_mlp: int | None
    mlp_layer_types: Sequence[str] | None
    decoder_sparse_step: int | None
    moe_layer_interval: int | None
    interleave_moe_layer_step: int | None
    moe_layer_end_index: int | None
    mlp_only_layers: Sequence[int] | None

    # Layers that differ among themselves
    layer_types: Sequence[str] | None
    full_attn_idxs: Sequence[int] | None
    full_attention_interval: int | None
    linear_num_value_heads: int
    linear_num_key_heads: int
    linear_key_head_dim: int
    linear_value_head_dim: int
    linear_conv_kernel_dim: int
    conv_bias: bool
    conv_L_cache: int
    block_ff_dim: int | None
    block_auto_adjust_ff_dim: bool
    block_multiple_of: int | None
    block_ffn_dim_multiplier: float | None
    num_kv_shared_layers: int | None
    hidden_size_per_layer_input: int | None
    vocab_size_per_layer_input: int | None
    global_head_dim: int | None
    num_global_key_value_heads: int | None
    attention_k_eq_v: bool
    use_double_wide_mlp: bool
