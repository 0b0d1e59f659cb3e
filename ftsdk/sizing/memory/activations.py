"""Bytes that one token leaves on the accelerator between the forward and the backward pass, module by module.

Counted on transformers' decoder layers under bf16 autocast: what autograd keeps, and nothing else. A frozen
matrix keeps no input; a trained one keeps it in bf16; RMSNorm keeps its input in fp32; attention without scores
keeps q, k, v and its output; a gated MLP keeps the activation's input and output and the other branch.
"""

from __future__ import annotations

from typing import Final

from ftsdk.sizing.training_step import TrainingStep

BF16: Final = 2
FP32: Final = 4
SCORE_BYTES: Final = 5
"""Per attention score without FlashAttention: softmax out, its cast, dropout mask (Korthikanti et al., 2205.05198)."""


def layer_bytes(step: TrainingStep) -> float:
    """Bytes per token that one layer keeps for the backward pass."""
    s = step.shape
    attention = BF16 * 2 * (s.q_width + s.kv_width)
    scores = 0 if step.flash else (SCORE_BYTES + BF16 * s.family.softcap) * s.num_heads * step.seq_len
    mask = BF16 * step.seq_len / s.num_layers if step.mask_4d else 0
    branches = 3 if s.family.gated else 1
    wide = BF16 * branches * s.active_width + routed_bytes(step) * (2 if step.full else 1)
    return _norm_bytes(step) + attention + scores + mask + wide + _input_bytes(step)


def routed_bytes(step: TrainingStep) -> float:
    """Bytes per token of the hidden states' copies, one for each expert that a token goes to. Their outputs are kept,
    as they are weighted; their inputs only where experts are trained."""
    s = step.shape
    return BF16 * s.experts_per_token * s.hidden_size * (s.num_layers - s.mlp_layers) / s.num_layers


def checkpoint_bytes(step: TrainingStep) -> float:
    """Bytes per token that a checkpointed layer keeps: its input, in the precision of the embeddings."""
    return step.shape.hidden_size * (FP32 if _fp32_stream(step) else BF16)


def backward_bytes(step: TrainingStep) -> float:
    """Bytes per token of the gradients that live inside one layer while it runs backwards.

    The MLP is the widest place: three gradients of its width in bf16, and one in fp32 from an adapter in fp32.
    """
    adapter = step.adapted and step.trained_width == FP32
    return step.shape.active_width * (3 * BF16 + (FP32 if adapter else 0)) + routed_bytes(step)


def head_bytes(step: TrainingStep) -> float:
    """Bytes per token around the output layer: the final norm and its gradient."""
    return 3 * BF16 * step.shape.hidden_size


def _fp32_stream(step: TrainingStep) -> bool:
    """Fully trained fp32 weights make an fp32 residual stream; adapters leave it in bf16."""
    return step.full and step.trained_width == FP32 and step.sharding.kind != "fsdp"


def _norm_bytes(step: TrainingStep) -> float:
    s = step.shape
    kept = BF16 if s.family.norm_bias else FP32  # LayerNorm is one kernel; RMSNorm is written out in fp32
    trained = (FP32 if _fp32_stream(step) else BF16) if step.full and not s.family.norm_bias else 0
    heads = {"none": 0, "head": s.q_width + s.kv_width, "full": s.q_width + s.kv_width}[s.family.qk_norm]
    return (kept + trained) * (s.family.norms * s.hidden_size + heads + s.query_rank + s.kv_rank)


def _input_bytes(step: TrainingStep) -> float:
    """Inputs of matrices that need a weight gradient."""
    s = step.shape
    if step.full:
        normed = s.family.norms and (2 if s.family.norms > 1 else 1)
        readers = len(s.family.attention) - 1 + len(s.family.mlp) - 1
        return BF16 * ((readers if _fp32_stream(step) else normed) * s.hidden_size + s.active_width)
    inputs = sum(linear.inputs * linear.number for linear in step.adapted) / s.num_layers
    if step.trained_width == BF16 and not step.dropout:  # no cast: modules that read the same tensor share it
        inputs = _shared_inputs(step)
    return (BF16 + step.dropout) * inputs


def _shared_inputs(step: TrainingStep) -> float:
    s = step.shape
    widths = {linear.inputs for linear in step.adapted}
    readers = sum(
        1 for linear in step.adapted if linear.inputs == s.hidden_size and linear.name != s.family.attention[-1]
    )
    return s.hidden_size * min(readers, 2) + (s.intermediate_size if s.intermediate_size in widths else 0)
