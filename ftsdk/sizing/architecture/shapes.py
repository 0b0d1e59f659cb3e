"""Model shapes and exact parameter counts from them. `configs` reads them off a config.json."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ftsdk.sizing.architecture.families import LLAMA, Family


class Parameters(NamedTuple):
    """Parameter counts by module; `total` is their sum (a tied output layer counts nothing)."""

    embeddings: int
    lm_head: int
    attention: int
    mlp: int
    experts: int
    routers: int
    norms: int
    vision: int

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self)

    @property
    def linear(self) -> int:
        """Parameters inside the layers' matrices."""
        return self.attention + self.mlp + self.experts

    @property
    def shrunk(self) -> int:
        """What bitsandbytes loads in 4 or 8 bits. The output layer is kept, and so are experts: transformers 5 holds a
        layer's experts in one tensor, and only linear layers are replaced."""
        return self.attention + self.mlp


class Linear(NamedTuple):
    """A linear layer of the model: its name, its sizes, and how many of it there are in the whole model."""

    name: str
    inputs: int
    outputs: int
    number: int


class HybridLayers(NamedTuple):
    """Layers of a model that has several kinds of layer, summed over all layers (see `hybrid_layers`)."""

    attention: tuple[Linear, ...]
    """Linear layers of attention, or of the layers in its place."""
    attention_rest: int
    """Other parameters there: norms of heads, convolutions, decay rates, biases."""
    mlp: tuple[Linear, ...] = ()
    """Linear layers of the MLPs; empty where those do not differ."""
    embeddings: int = 0
    """Further embeddings."""
    norms: int = 0
    """Further norms and scales."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a decoder. Widths in elements; `tied` means that the output layer is the embedding."""

    model_type: str
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tied: bool = False
    family: Family = LLAMA
    num_experts: int = 0
    experts_per_token: int = 0
    expert_intermediate_size: int = 0
    shared_intermediate_size: int = 0
    """Width of the experts that see every token."""
    dense_layers: int = 0
    """Layers without experts, in a model with experts."""
    query_rank: int = 0
    """Multi-head latent attention: rank of the compressed queries; 0 for none."""
    kv_rank: int = 0
    """Multi-head latent attention: rank of the compressed keys and values; 0 for ordinary attention."""
    rope_dim: int = 0
    """Multi-head latent attention: rotated part of a head."""
    value_dim: int = 0
    """Multi-head latent attention: width of a value head."""
    vision_parameters: int = 0
    """All that is beside the decoder: vision, audio, gates of cross-attention, learned positions."""
    hybrid: HybridLayers | None = None
    """Set where layers differ among themselves; the sizes above are then those of most layers."""
    notes: tuple[str, ...] = ()
    """What had to be assumed."""
    spread: float = 1.0
    """How far a guessed shape's memory may be off, as a factor in both directions; 1 for a known shape."""

    @property
    def q_width(self) -> int:
        """Width of all queries together."""
        return self.num_heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all keys (or values) together."""
        return (self.num_heads if self.kv_rank else self.num_kv_heads) * self.head_dim

    @property
    def mlp_layers(self) -> int:
        """Layers with an ordinary MLP."""
        return self.dense_layers if self.num_experts else self.num_layers

    @property
    def active_width(self) -> int:
        """Feed-forward width that one token passes through, averaged over the layers."""
        if not self.num_experts:
            return self.intermediate_size
        sparse = self.experts_per_token * self.expert_intermediate_size + self.shared_intermediate_size
        return (self.dense_layers * self.intermediate_size + (self.num_layers - self.dense_layers) * sparse) // max(
            1, self.num_layers
        )

    @cached_property
    def active_linear(self) -> int:
        """Matrix parameters that one token passes through, the output layer included."""
        counts = self.parameters
        idle = 1 - self.experts_per_token / self.num_experts if self.num_experts else 0.0
        return round(counts.linear - counts.experts * idle) + self.vocab_size * self.hidden_size

    @cached_property
    def parameters(self) -> Parameters:
        """Exact counts by module."""
        sparse = self.num_layers - self.mlp_layers
        head = 0 if self.tied else self.vocab_size * self.hidden_size
        own = self.hybrid
        return Parameters(
            embeddings=self.vocab_size * self.hidden_size + (own.embeddings if own else 0),
            lm_head=head + (self.vocab_size if self.family.head_bias else 0),
            attention=_weights(own.attention) + own.attention_rest if own else self.num_layers * _attention(self),
            mlp=_weights(own.mlp)
            if own and own.mlp
            else self.mlp_layers * _mlp(self, self.intermediate_size) + sparse * _shared(self),
            experts=sparse * self.num_experts * _expert(self),
            routers=sparse * _router(self),
            norms=_norms(self) + (own.norms if own else 0),
            vision=self.vision_parameters,
        )

    @cached_property
    def linears(self) -> tuple[Linear, ...]:
        """The linear layers that adapters can sit on; experts are none, being one tensor in transformers 5."""
        own = self.hybrid
        attention = own.attention if own else _attention_linears(self)
        return (*attention, *(own.mlp if own and own.mlp else _mlp_linears(self)))


def num_biases(shape: ModelShape) -> int:
    """Elements of all biases of the layers and the output layer; those of experts and routers are not counted."""
    family, kinds = shape.family, shape.linears
    attention = {**dict.fromkeys(family.attention[:-1], family.qkv_bias), family.attention[-1]: family.o_bias}
    flags = {**attention, **dict.fromkeys(family.mlp, family.mlp_bias)}
    linear = sum(one.outputs * one.number for one in kinds if flags.get(one.name))
    norms = _norms(shape) // (1 + family.norm_bias) * family.norm_bias
    return linear + norms + shape.vocab_size * family.head_bias


# --- counting --------------------------------------------------------------------------------------
def _weights(linears: Iterable[Linear]) -> int:
    return sum(linear.inputs * linear.outputs * linear.number for linear in linears)


def _attention(s: ModelShape) -> int:
    f = s.family
    if s.kv_rank:
        return _latent_attention(s)
    count = s.hidden_size * (s.q_width + 2 * s.kv_width) + s.q_width * s.hidden_size
    count += (s.q_width + 2 * s.kv_width) * f.qkv_bias + s.hidden_size * f.o_bias + s.num_heads * f.sinks
    return count


def _latent_attention(s: ModelShape) -> int:
    nope = s.head_dim - s.rope_dim
    queries = s.num_heads * s.head_dim
    q = s.query_rank * (s.hidden_size + 1 + queries) if s.query_rank else s.hidden_size * queries
    kv = s.hidden_size * (s.kv_rank + s.rope_dim) + s.kv_rank * (1 + s.num_heads * (nope + s.value_dim))
    return q + kv + s.num_heads * s.value_dim * s.hidden_size


def _mlp(s: ModelShape, width: int) -> int:
    inner = 2 if s.family.gated else 1
    return (inner + 1) * s.hidden_size * width + (inner * width + s.hidden_size) * s.family.mlp_bias


def _shared(s: ModelShape) -> int:
    if not s.shared_intermediate_size:
        return 0
    return 3 * s.hidden_size * s.shared_intermediate_size + s.hidden_size * s.family.shared_gate


def _expert(s: ModelShape) -> int:
    bias = (2 * s.expert_intermediate_size + s.hidden_size) * s.family.expert_bias
    return 3 * s.hidden_size * s.expert_intermediate_size + bias


def _router(s: ModelShape) -> int:
    return s.num_experts * (s.hidden_size + s.family.router_bias)


def _norms(s: ModelShape) -> int:
    f = s.family
    heads = {"none": 0, "head": 2 * s.head_dim, "full": s.q_width + s.kv_width}[f.qk_norm] * (s.hybrid is None)
    one = s.hidden_size * (1 + f.norm_bias)
    return s.num_layers * (f.norms * one + heads + f.learned_activation) + one * (bool(f.norms) + f.embedding_norm)


def _attention_linears(s: ModelShape) -> tuple[Linear, ...]:
    h, q, kv, n = s.hidden_size, s.q_width, s.kv_width, s.num_layers
    if s.kv_rank:
        queries = (
            (Linear("q_a_proj", h, s.query_rank, n), Linear("q_b_proj", s.query_rank, q, n))
            if s.query_rank
            else (Linear("q_proj", h, q, n),)
        )
        nope = s.head_dim - s.rope_dim
        return (
            *queries,
            Linear("kv_a_proj_with_mqa", h, s.kv_rank + s.rope_dim, n),
            Linear("kv_b_proj", s.kv_rank, s.num_heads * (nope + s.value_dim), n),
            Linear("o_proj", s.num_heads * s.value_dim, h, n),
        )
    names = s.family.attention
    if len(names) == 2:
        return Linear(names[0], h, q + 2 * kv, n), Linear(names[1], q, h, n)
    return tuple(Linear(name, *sizes, n) for name, sizes in zip(names, ((h, q), (h, kv), (h, kv), (q, h)), strict=True))


def _mlp_linears(s: ModelShape) -> tuple[Linear, ...]:
    dense = _mlp_of(s, s.intermediate_size, s.mlp_layers) if s.mlp_layers else ()
    sparse = s.num_layers - s.mlp_layers
    shared = _mlp_of(s, s.shared_intermediate_size, sparse) if s.shared_intermediate_size and sparse else ()
    gate = (Linear("shared_expert_gate", s.hidden_size, 1, sparse),) if shared and s.family.shared_gate else ()
    return (*dense, *shared, *gate)


def _mlp_of(s: ModelShape, width: int, count: int) -> tuple[Linear, ...]:
    h, names = s.hidden_size, s.family.mlp
    if len(names) == 3:
        return tuple(
            Linear(n, a, b, count) for n, (a, b) in zip(names, ((h, width), (h, width), (width, h)), strict=True)
        )
    first = 2 * width if s.family.gated else width
    return Linear(names[0], h, first, count), Linear(names[1], width, h, count)
