"""Parameters that peft's tunings train, and what they keep beside. Pure.

Counted on peft 0.18's layers (`peft/tuners/*/layer.py`); tests compare every count with peft's own on a small model.
"""

from __future__ import annotations

from math import isqrt

from ftsdk.sizing.architecture.shapes import Linear, ModelShape, num_biases
from ftsdk.spec.peft_family import (
    AdaLora,
    BitFit,
    Boft,
    FourierFt,
    Hra,
    Ia3,
    LnTuning,
    Loha,
    Lokr,
    Prefix,
    PTuning,
    Targeted,
    Vera,
    VirtualTokens,
)

WRITTEN_OUT = (Boft, Hra, Loha, Lokr, FourierFt)
"""Tunings that make a whole matrix for each target in every forward pass, in 32 bits."""
BF16_PER_FP32 = 2


def targeted_parameters(tuning: Targeted, linear: Linear) -> int:
    """Trained parameters beside one linear layer."""
    inputs, outputs = linear.inputs, linear.outputs
    match tuning:
        case AdaLora(initial_rank=rank):
            return rank * (inputs + outputs + 1)
        case Ia3():
            return inputs if linear.name in tuning.feedforward else outputs
        case Vera(rank=rank):
            return rank + outputs
        case Boft():
            return inputs * tuning.block_size + outputs
        case Hra(rank=rank):
            return rank * inputs
        case Loha(rank=rank):
            return 2 * rank * (inputs + outputs)
        case Lokr(rank=rank):
            return _kronecker(rank, inputs, outputs)
        case FourierFt(num_frequencies=number):
            return number
    raise TypeError(f"{type(tuning).__name__} has no parameters beside a linear layer")


def _kronecker(rank: int, inputs: int, outputs: int) -> int:
    (in_small, in_large), (out_small, out_large) = _factors(inputs), _factors(outputs)
    whole = out_large * in_large
    low_rank = rank * (out_large + in_large)
    return out_small * in_small + (low_rank if rank < max(out_large, in_large) / 2 else whole)


def _factors(size: int) -> tuple[int, int]:
    """The two divisors nearest to the square root, as LyCORIS factorises."""
    small = next(divisor for divisor in range(isqrt(size), 0, -1) if size % divisor == 0)
    return small, size // small


def norm_parameters(tuning: LnTuning, shape: ModelShape) -> int:
    """Weights of the norms that ln_tuning names: one of the hidden size in each layer, `norm` once behind them."""
    layered = [name for name in tuning.targets if name != "norm"]
    count = shape.num_layers * len(layered) + ("norm" in tuning.targets)
    return count * shape.hidden_size * (1 + shape.family.norm_bias)


def virtual_parameters(tuning: VirtualTokens, shape: ModelShape) -> int:
    """Trained parameters of vectors in place of tokens, with the network that writes them."""
    number, hidden = tuning.num_virtual_tokens, shape.hidden_size
    if isinstance(tuning, Prefix):
        written = 2 * shape.num_layers * shape.kv_width
        inner = tuning.encoder_hidden_size
        mlp = (shape.kv_width + 1) * inner + (inner + 1) * written
        return number * shape.kv_width + mlp if tuning.projection else number * written
    if isinstance(tuning, PTuning):
        inner = tuning.encoder_hidden_size
        return number * hidden + (hidden + 1) * inner + (inner + 1) * inner + (inner + 1) * hidden
    return number * hidden


def bias_parameters(_: BitFit, shape: ModelShape) -> int:
    """Elements of the biases."""
    return num_biases(shape)


def kept_beside(
    tuning: object, adapted: tuple[Linear, ...], *, layers_at_once: int, num_layers: int
) -> tuple[tuple[str, int], ...]:
    """(what, parameters counted in 16 bits) that a tuning holds beside its trained parameters."""
    if isinstance(tuning, Vera):
        widest = max(one.inputs for one in adapted) + max(one.outputs for one in adapted)
        return (("shared random matrices", BF16_PER_FP32 * tuning.rank * widest),)
    if not isinstance(tuning, WRITTEN_OUT):
        return ()
    rotates = isinstance(tuning, Boft | Hra)
    whole = sum(one.inputs * (one.inputs if rotates else one.outputs) * one.number for one in adapted)
    made = ("matrices of the updates", BF16_PER_FP32 * whole * layers_at_once // num_layers)
    return (made, ("permutations of boft", BF16_PER_FP32 * whole)) if isinstance(tuning, Boft) else (made,)
