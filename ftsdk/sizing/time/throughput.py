"""Training speed: tokens per second and accelerator, from operations, memory traffic, launches and communication.

A micro-step takes as long as the slowest of three things that overlap: the accelerator's own work (matrix products
at a share of the peak, and tensors read and written at memory bandwidth), the launch of its operations from Python
one by one, and the traffic between accelerators. The constants are rates; none belongs to a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from ftsdk.sizing.catalogue import Card
from ftsdk.sizing.memory.activations import BF16, layer_bytes
from ftsdk.sizing.training_step import TrainingStep

Bound = Literal["compute", "launches", "network"]


class Rates(NamedTuple):
    """Measured rates; `bench/sizing` re-measures them without each source."""

    matrix_share: tuple[tuple[str, float], ...] = (
        ("turing", 0.6),
        ("volta", 0.6),
        ("ampere", 0.68),
        ("ada", 0.75),
        ("consumer", 0.8),
        ("hopper", 0.55),
        ("blackwell", 0.5),
    )
    """Sustained over peak in matrix products and attention, by generation: the faster the units, the less is kept."""
    attention_share: tuple[tuple[str, float], ...] = (("hopper", 0.35), ("blackwell", 0.35))
    """Sustained over peak in attention where it is less than `usual_attention_share`: FlashAttention 2 uses no unit
    that came with Hopper (335 of 989 TFLOPS forward and backward, 2307.08691)."""
    usual_attention_share: float = 0.6
    """FlashAttention 2, forward and backward, head sizes 64 and 128 (176 to 203 of 312 TFLOPS on A100, 2307.08691)."""
    fp8_share: float = 0.33
    """The same in fp8, of the fp8 peak."""
    passes_over_kept: float = 8.0
    """How often a kept activation is read or written in forward and backward together."""
    operation_us: float = 15.0
    """Time in which Python and PyTorch launch one operation."""
    zero3_exposed: float = 1.0
    """Share of ZeRO-3's traffic in which computing waits: modules are gathered from Python hooks as they are used."""
    host_link_gb_s: float = 12.0
    """Between accelerator and main memory, each direction (PCIe 4.0 x16, pinned, 12 of 32 GB/s shared by two cards)."""
    cpu_adam_per_s: float = 1e9
    """Parameters that DeepSpeed's CPU Adam steps in a second for one accelerator (ZeRO-Offload, 2101.06840: 10 billion
    in 2.6 s on two sockets; a quarter of that, since cards share the sockets)."""
    network_gb_s: float = 25.0
    """Per accelerator between machines (200 GB/s a machine of eight)."""


RATES: Final = Rates()
LOW: Final = 0.70
HIGH: Final = 1.35
"""The range around the middle where most is known; covers 9 of 10 published runs (see docs/sizing.md)."""
MEASURED_CARDS: Final = ("A100-80GB", "A100-40GB", "H100-80GB", "RTX3090", "RTX4090")
"""Cards of the published runs."""
UNMEASURED: Final = 1.3
"""What the range is wider by, at both ends, on other cards: as far as the shares of the generations differ (0.55 to 0.8
around their middle)."""
BETWEEN_MACHINES: Final = 0.8
"""What the slow end is lower by with several machines: a network may have half of the assumed rate."""
FUSED_FP8: Final = 1.5
"""What the fast end is higher by in fp8: fused kernels reach half of the peak instead of a third."""
OPERATIONS_PER_LAYER: Final = 45
"""Forward pass of a decoder layer in transformers, counted with a tracer."""
_OPERATIONS_PER_ADAPTER: Final = 8
_OPERATIONS_PER_UNPACKING: Final = {"gptq": 10, "bnb": 2, "bnb-double": 3}
_ZERO3_HOOK_US: Final = 250.0
"""DeepSpeed ZeRO-3 gathers and releases each module's weights from Python hooks."""
_OPTIMIZER_BYTES: Final = 30.0
"""Traffic of an AdamW step for each parameter: fp32 weight and two states read and written (24), gradient read (4),
16-bit weight written (2)."""
_MODULES_PER_LAYER: Final = 10
_DEQUANT_BYTES: Final = {"gptq": 20.0, "bnb": 2.5, "bnb-double": 2.6}
"""Traffic to unpack one weight once: bitsandbytes reads it and writes bf16; GPTQ's PyTorch path works on int32."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second and accelerator: the middle and a range that is wider the less is known."""

    tokens_per_s: float
    low: float
    high: float
    bound: Bound
    tflops: float
    """Operations per second that the accelerator really executes, in 10^12, recomputation included."""
    mfu: float
    """Model FLOPs utilisation: useful operations (without recomputation) over the peak."""
    range_why: str = ""
    """What the width of the range follows from."""


class Operations(NamedTuple):
    """Floating-point operations per token."""

    useful: float
    matrices: float
    """Executed in matrix products, recomputation included."""
    attention: float
    """Executed in attention, recomputation included."""

    @property
    def executed(self) -> float:
        """All that the accelerator does."""
        return self.matrices + self.attention


def operations(step: TrainingStep) -> Operations:
    """Operations per token: 2 per weight forward, 2 for the input's gradient, 2 for the weight's where it is trained;
    attention 2·s·width forward (causal) and 2.5 times that backward (FlashAttention, 2307.08691)."""
    s = step.shape
    body = s.active_linear - s.vocab_size * s.hidden_size
    trained = s.active_linear * min(1.0, step.trained / s.parameters.total) if step.full else 3.0 * step.trained
    attention = 2.0 * step.seq_len * s.q_width * s.num_layers
    products = 4.0 * s.active_linear + 2.0 * trained
    again = 1.0 if step.checkpointing else 0.0
    return Operations(
        useful=products + 3.5 * attention,
        matrices=products + again * 2.0 * body,
        attention=(3.5 + again) * attention,
    )


def speed_of(
    step: TrainingStep,
    card: Card,
    *,
    nodes: int = 1,
    fp8: bool = False,
    rates: Rates = RATES,
    micro_steps: int | None = None,
) -> Speed | None:
    """Speed of a training step on a card; None where the card's peak is not known.

    `micro_steps`: between two steps of the optimizer; without it the optimizer's own time is left out.
    """
    peak = card.fp8_tflops if fp8 else card.tflops
    if not peak or not card.bandwidth_gb_s:
        return None
    ops = operations(step)
    share = rates.fp8_share if fp8 else card.matrix_share or dict(rates.matrix_share)[card.generation]
    attention_share = card.matrix_share or dict(rates.attention_share).get(card.generation, rates.usual_attention_share)
    matrix_s = (
        step.tokens * (ops.matrices / (peak * share) + ops.attention / ((card.tflops or peak) * attention_share)) / 1e12
    )
    times: dict[Bound, float] = {
        "compute": matrix_s + _traffic_bytes(step, rates) / (card.bandwidth_gb_s * 1e9),
        "launches": _launch_s(step, rates),
        "network": _network_s(step, card, nodes, rates),
    }
    bound = max(times, key=lambda name: times[name])
    waits = times["network"] if step.sharding.kind == "zero3" and bound != "network" else 0.0
    update_s = _optimizer_s(step, card, rates) / micro_steps if micro_steps else 0.0
    rate = step.tokens / (times[bound] + rates.zero3_exposed * waits + update_s)
    low, high, why = _range(card, nodes=nodes, fp8=fp8)
    return Speed(
        tokens_per_s=rate,
        low=low * rate,
        high=high * rate,
        bound=bound,
        tflops=rate * ops.executed / 1e12,
        mfu=rate * ops.useful / (peak * 1e12),
        range_why=why,
    )


def _range(card: Card, *, nodes: int, fp8: bool) -> tuple[float, float, str]:
    """Slow end and fast end over the middle, and why: the less is known, the wider."""
    low, high, reasons = LOW, HIGH, []
    if card.name not in MEASURED_CARDS:
        low, high = low / UNMEASURED, high * UNMEASURED
        reasons.append(f"no published run on {card.name}")
    if nodes > 1:
        low *= BETWEEN_MACHINES
        reasons.append("the network between machines is assumed")
    if fp8:
        high *= FUSED_FP8
        reasons.append("fp8 kernels differ")
    return low, high, "; ".join(reasons) or f"published runs on {card.name}"


def _traffic_bytes(step: TrainingStep, rates: Rates) -> float:
    """Bytes through memory in a micro-step, beside what matrix products hide."""
    s = step.shape
    again = 1.5 if step.checkpointing else 1.0
    layers = rates.passes_over_kept * again * layer_bytes(step) * s.num_layers
    adapters = again * _adapter_bytes(step)
    logits = (2.0 if step.chunked_loss else 2 * step.logit_bytes) * s.vocab_size
    unpacked = 0.0
    if step.weight_bits < 16:
        unpacked = s.parameters.shrunk * _DEQUANT_BYTES[step.quantization] * (3 if step.checkpointing else 2)
    return step.tokens * (layers + adapters + logits) + unpacked


def _adapter_bytes(step: TrainingStep) -> float:
    """Bytes per token that adapters move, forward and backward: inputs read and dropped out, outputs scaled and added,
    in skinny products that memory bounds."""
    inputs = sum(linear.inputs * linear.number for linear in step.adapted)
    outputs = sum(linear.outputs * linear.number for linear in step.adapted)
    return 3.0 * BF16 * (2 * inputs + 6 * outputs)


def _launch_s(step: TrainingStep, rates: Rates) -> float:
    """Seconds that Python needs for a micro-step's operations: forward, backward (twice as many), recomputation."""
    s = step.shape
    per_layer = OPERATIONS_PER_LAYER + _OPERATIONS_PER_ADAPTER * len(step.adapted)
    if step.weight_bits < 16:
        per_layer += _OPERATIONS_PER_UNPACKING[step.quantization] * len(s.linears)
    passes = 4 if step.checkpointing else 3
    hooks = _ZERO3_HOOK_US * _MODULES_PER_LAYER * (passes - 1) if step.sharding.kind == "zero3" else 0.0
    return s.num_layers * (per_layer * passes * rates.operation_us + hooks) / 1e6


def _optimizer_s(step: TrainingStep, card: Card, rates: Rates) -> float:
    """Seconds of an optimizer step: its states are read and written once, on the card or, offloaded, by the CPU."""
    s = step.sharding
    own = step.trained / (s.ways if s.splits_optimizer else 1)
    if s.offload_optimizer:  # gradients to main memory, weights back, 16 bits each
        return own * (4 / (rates.host_link_gb_s * 1e9) + 1 / rates.cpu_adam_per_s)
    return own * _OPTIMIZER_BYTES / ((card.bandwidth_gb_s or 1) * 1e9)


def _network_s(step: TrainingStep, card: Card, nodes: int, rates: Rates) -> float:
    """Seconds of traffic in a micro-step: weights gathered per pass, gradients reduced. Between machines, each brings
    in one copy over all its network cards."""
    s = step.sharding
    if s.ways < 2:
        return 0.0
    width = step.weight_bits / 8 if step.weight_bits < 16 else 2.0
    gathered = step.shape.parameters.total * width * (3 if step.checkpointing else 2) if s.splits_weights else 0.0
    sent = (s.ways - 1) / s.ways * (gathered + 2.0 * step.trained)
    inside = sent / (card.link_gb_s or rates.network_gb_s)
    between = sent / (rates.network_gb_s * max(1, s.ways // nodes)) if nodes > 1 else 0.0
    return max(inside, between) / 1e9
