"""Memory of a training step on one accelerator, from first principles, as a table of terms.

Bytes per token were counted on the model code and are checked in `tests/sizing` by tracing every tensor that a
real training step allocates. Sources of constants are named beside them. Binary units: 1 GiB = 2^30 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from ftsdk.sizing.memory.activations import backward_bytes, checkpoint_bytes, head_bytes, layer_bytes
from ftsdk.sizing.training_step import DEFAULT_OPTIMIZER, OPTIMIZERS, OptimizerCost, TrainingStep

GIB: Final = 2**30
NF4_BYTES: Final = 0.5 + 4 / 64
"""4-bit weights with one fp32 scale per 64 (QLoRA, 2305.14314)."""
NF4_DOUBLE_BYTES: Final = 0.5 + 1 / 64 + 4 / (64 * 256)
"""The same with 8-bit scales and one fp32 scale of scales per 256 blocks (QLoRA, 2305.14314)."""
GPTQ_SCALE_BYTES: Final = 2.5 / 128
"""fp16 scale and 4-bit zero point per group of 128 (GPTQ's usual group)."""
ZERO3_LIVE: Final = 1_000_000_000
"""Parameters that ZeRO-3 keeps gathered (stage3_max_live_parameters) and steps at once (sub_group_size)."""


class Constants(NamedTuple):
    """The numbers that are not counted; `bench/sizing` chooses the first anew without each source."""

    allocator_share: float = 0.2
    """Memory that PyTorch's caching allocator holds but cannot use, over the lasting state. Fine-tuning with
    recomputation, adapters or ZeRO leaves 15 % of the reserved memory unused on average (GMLake, 2401.08156), which
    is 0.18 of what is in use; up to 33 %, which is 0.49."""
    allocator_step_share: float = 0.25
    """The same over what lives only within a step: the mean of simulated steps of one length (`python -m
    bench.sizing.allocator`; 0.19 to 0.44)."""
    context_gib: float = 1.0
    """CUDA context, library workspaces: outside of PyTorch's allocator."""
    nccl_gib: float = 0.4
    """Communication buffers; only with a process group."""


CONSTANTS: Final = Constants()


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the table."""

    name: str
    bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one accelerator at the peak of a step."""

    terms: tuple[Term, ...]
    peak: str
    """The moment at which the peak occurs."""

    @property
    def total_gib(self) -> float:
        """Sum of the terms in GiB."""
        return sum(term.bytes for term in self.terms) / GIB

    def gib(self, *names: str) -> float:
        """Sum of the named terms in GiB."""
        return sum(term.bytes for term in self.terms if term.name in names) / GIB


class _Moment(NamedTuple):
    """What lives, beyond the lasting state, at one moment of a step."""

    name: str
    activations: float
    logits: float
    temporary: float

    @property
    def bytes(self) -> float:
        return self.activations + self.logits + self.temporary


def memory_of(step: TrainingStep, *, card_gib: float | None = None, constants: Constants = CONSTANTS) -> Memory:
    """Peak memory per accelerator. `card_gib` (usable GiB) is only needed where an engine reserves a share of it."""
    state = (*_state_terms(step), *_generation_terms(step, card_gib))
    peak = max(_moments(step), key=lambda moment: moment.bytes)
    within = (
        Term("activations", round(peak.activations), _activations_why(step)),
        Term("logits", round(peak.logits), _logits_why(step, peak)),
        Term("temporary", round(peak.temporary), _temporary_why(step, peak)),
    )
    fixed = constants.context_gib + (constants.nccl_gib if step.sharding.kind != "none" else 0.0)
    share, step_share = constants.allocator_share, constants.allocator_step_share
    slack = share * sum(term.bytes for term in state) + step_share * sum(term.bytes for term in within)
    why = f"blocks that PyTorch holds and cannot use: {share:.0%} of the state, {step_share:.0%} of what a step adds"
    terms = (
        *state,
        *within,
        Term("allocator", round(slack), why),
        Term("context", round(fixed * GIB), "CUDA context, library workspaces, communication buffers"),
    )
    return Memory(tuple(term for term in terms if term.bytes), peak.name)


def step_peak_bytes(step: TrainingStep) -> float:
    """What a micro-step needs beyond weights, gradients and optimizer, the allocator's losses left out."""
    return max(moment.bytes for moment in _moments(step)[:-1])


# --- the lasting state ------------------------------------------------------------------------------
def _state_terms(step: TrainingStep) -> tuple[Term, ...]:
    """Weights, gradients, optimizer and further models: there at every moment."""
    s = step.sharding
    frozen = _frozen_bytes(step) / (s.ways if s.splits_weights else 1) * (not s.offload_weights)
    trained = _trained_bytes(step) / (s.ways if s.splits_weights else 1) * (not s.offload_weights)
    base = Term("weights", round(frozen + trained * step.full), _weights_why(step))
    adapters = Term(
        "adapters", round(trained * (not step.full)), f"{step.trained / 1e6:.1f} million adapter parameters"
    )
    copies = tuple(
        Term(name, round(2 * count / (s.ways if s.splits_weights else 1)), f"{count / 1e9:.2f} billion frozen, bf16")
        for name, count in step.frozen_copies
    )
    return (base, adapters, *copies, _gradient_term(step), _optimizer_term(step))


def _frozen_bytes(step: TrainingStep) -> float:
    """Bytes of weights that are not trained."""
    counts = step.shape.parameters
    if step.full:
        return max(0, counts.total - step.trained) * 2.0
    if step.weight_bits == 16:
        return counts.total * 2.0
    return _matrix_bytes(step) + (counts.total - counts.linear) * step.kept_bytes


def _matrix_bytes(step: TrainingStep) -> float:
    """Bytes of the layers' frozen matrices as they are stored."""
    counts = step.shape.parameters
    if step.weight_bits == 16:
        return counts.linear * 2.0
    shrunk = counts.linear if step.quantization == "gptq" else counts.shrunk
    return shrunk * quantised_bytes(step) + (counts.linear - shrunk) * 2.0


def quantised_bytes(step: TrainingStep) -> float:
    """Bytes of one quantised weight with its scales."""
    if step.quantization == "gptq":
        return step.weight_bits / 8 + GPTQ_SCALE_BYTES
    if step.weight_bits == 8:
        return 1.0  # LLM.int8(): one scale a row (2208.07339)
    return NF4_DOUBLE_BYTES if step.quantization == "bnb-double" else NF4_BYTES


def _trained_bytes(step: TrainingStep) -> float:
    return step.trained * float(4 if step.sharding.kind == "fsdp" and step.layout != "bf16" else step.trained_width)


def _gradient_term(step: TrainingStep) -> Term:
    s = step.sharding
    width = step.trained_width
    own = step.trained * width / (s.ways if s.splits_gradients else 1) * (not s.offload_optimizer)
    bucket = step.trained * width if s.kind == "ddp" else 0
    why = f"{width} bytes per trained parameter" + (", twice for DDP's buckets" if bucket else "")
    return Term("gradients", round(own + bucket), why)


def _optimizer_term(step: TrainingStep) -> Term:
    s, cost = step.sharding, _cost(step)
    fp32_masters = s.deepspeed or step.layout == "mixed"
    width = 2 if step.layout == "bf16" and not fp32_masters else 4
    each = cost.elements * width + cost.extra_bytes + 4 * fp32_masters
    total = step.trained * each / (s.ways if s.splits_optimizer else 1) * (not s.offload_optimizer)
    masters = ", fp32 masters included" if fp32_masters else ""
    return Term("optimizer", round(total), f"{step.optimizer}: {each:.3g} bytes per trained parameter{masters}")


def _cost(step: TrainingStep) -> OptimizerCost:
    return OPTIMIZERS.get(step.optimizer, OPTIMIZERS[DEFAULT_OPTIMIZER])


# --- the moments of a step --------------------------------------------------------------------------
def _moments(step: TrainingStep) -> tuple[_Moment, ...]:
    """The four moments that can be the peak.

    Logits, ordinary loss (transformers' ForCausalLMLoss, counted by tracing): at the end of the forward pass bf16
    logits 2 + fp32 copy 4 + log-softmax 4 = 10 bytes each, in the backward pass log-softmax 4 + its gradient 4 +
    the logits' gradient 4 = 12.
    """
    per_layer = checkpoint_bytes(step) if step.checkpointing else layer_bytes(step)
    kept = step.tokens * step.layers * per_layer
    near_head = step.tokens * head_bytes(step)
    logits = _logit_bytes(step)
    gathered = _gathered_bytes(step)
    layer = step.tokens * (backward_bytes(step) + (layer_bytes(step) if step.checkpointing else 0))
    return (
        _Moment("end of the forward pass", kept + near_head, logits * 10 / 12, gathered + _autocast_bytes(step)),
        _Moment("backward pass of the loss", kept + near_head, logits, gathered + _head_copy_bytes(step)),
        _Moment("backward pass of a layer", kept + layer, 0, gathered + _dequantised_bytes(step)),
        _Moment("optimizer step", 0, 0, _step_bytes(step)),
    )


def _logit_bytes(step: TrainingStep) -> float:
    s = step.shape
    if not step.chunked_loss:
        return step.tokens * s.vocab_size * (step.logit_bytes + 2 * s.family.softcap)
    # Liger works on chunks of about tokens x hidden / vocabulary rows, so that a chunk is as large as the hidden
    # states, and keeps their gradient (and the output layer's, where it is trained).
    head = s.vocab_size * s.hidden_size * step.trained_width if step.full or step.trained_copies else 0
    return step.tokens * s.hidden_size * (10 + 2) + head


def _gathered_bytes(step: TrainingStep) -> float:
    """Weights that sharding brings together for use."""
    s, counts = step.sharding, step.shape.parameters
    if not s.splits_weights:
        return _bucket_bytes(step)
    if s.kind == "zero3":
        width = quantised_bytes(step) if step.weight_bits < 16 else 2.0
        return min(counts.total, ZERO3_LIVE) * width + _bucket_bytes(step)
    layers = step.shape.num_layers
    trained_unit = counts.linear * 2.0 if step.full else step.trained * step.trained_width
    return 2 * (_matrix_bytes(step) + trained_unit) / layers + 2.0 * (counts.embeddings + counts.lm_head)


def _bucket_bytes(step: TrainingStep) -> float:
    """DeepSpeed's reduce buckets in 16 bits."""
    s = step.sharding
    if not s.deepspeed:
        return 0.0
    elements = min(s.bucket_elements, step.shape.hidden_size**2) if s.kind == "zero3" else s.bucket_elements
    return 2.0 * s.buckets * elements


def _autocast_bytes(step: TrainingStep) -> float:
    """bf16 copies of fp32 weights that autocast keeps until the forward pass ends."""
    casts = step.layout == "amp" and step.trained_width == 4 and not step.sharding.splits_weights
    return 2.0 * step.trained if casts else 0.0


def _head_copy_bytes(step: TrainingStep) -> float:
    """The bf16 copy of the output layer, which the backward pass of the loss still holds."""
    return 2.0 * step.shape.vocab_size * step.shape.hidden_size if _autocast_bytes(step) and step.full else 0.0


def _dequantised_bytes(step: TrainingStep) -> float:
    """The largest matrix in bf16, as a quantised layer unpacks it."""
    if step.weight_bits == 16:
        return 0.0
    return 2.0 * max(linear.inputs * linear.outputs for linear in step.shape.linears)


def _step_bytes(step: TrainingStep) -> float:
    """What only the optimizer step needs."""
    s = step.sharding
    if s.offload_optimizer:
        return 0.0
    if s.deepspeed:  # gradients of the part being stepped: flattened in bf16, then in fp32
        share = step.trained / (s.ways if s.splits_optimizer else 1)
        return 6.0 * min(share, ZERO3_LIVE) if s.kind == "zero3" else 4.0 * share
    width = 2.0 if step.layout == "bf16" else 4.0
    copies = _cost(step).temporary_elements if step.optimizer_temporaries is None else step.optimizer_temporaries
    return copies * width * step.trained / (s.ways if s.splits_optimizer else 1)


def _generation_terms(step: TrainingStep, card_gib: float | None) -> tuple[Term, ...]:
    """Keys and values of answers that are being sampled, or the engine's reservation."""
    g, s = step.generation, step.shape
    if g is None:
        return ()
    if g.reserved_share and card_gib:
        why = f"{g.reserved_share:.0%} of the card, reserved by the sampling engine"
        return (Term("generation", round(g.reserved_share * card_gib * GIB), why),)
    per_token = 2 * s.num_layers * (s.kv_rank + s.rope_dim if s.kv_rank else s.kv_width) * 2
    why = f"keys and values of {g.sequences} answers of {g.length} tokens"
    return (Term("generation", per_token * g.sequences * g.length, why),)


# --- words -----------------------------------------------------------------------------------------
def _weights_why(step: TrainingStep) -> str:
    total = step.shape.parameters.total / 1e9
    bits = step.trained_width * 8 if step.full else step.weight_bits
    parts = f", split over {step.sharding.ways}" if step.sharding.splits_weights else ""
    words = "embeddings, norms, experts" if step.shape.num_experts else "embeddings, norms"
    kept = f"; {words} and output layer in {8 * step.kept_bytes} bits" if step.weight_bits < 16 else ""
    return f"{total:.2f} billion parameters in {bits} bits{parts}{kept}"


def _activations_why(step: TrainingStep) -> str:
    kept = "the input of each layer, one layer recomputed" if step.checkpointing else "everything the layers keep"
    return f"{step.tokens} tokens x {step.layers} layers: {kept}"


def _logits_why(step: TrainingStep, peak: _Moment) -> str:
    if not peak.logits:
        return ""
    if step.chunked_loss:
        return "loss in chunks: never all logits at once"
    each = peak.logits / step.tokens / step.shape.vocab_size
    return f"{step.tokens} tokens x {step.shape.vocab_size} vocabulary x {each:.3g} bytes"


def _temporary_why(step: TrainingStep, peak: _Moment) -> str:
    if peak.name == "optimizer step":
        return "copies that the optimizer makes while it steps"
    if step.sharding.splits_weights:
        return "weights gathered for use, communication buckets"
    return "bf16 copies of fp32 weights" if step.full else "buckets, unpacked weights"
