"""One training step: everything that its memory and speed depend on, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from ftsdk.sizing.architecture.shapes import Linear, ModelShape

ShardingKind = Literal["none", "ddp", "zero0", "zero1", "zero2", "zero3", "fsdp"]
Layout = Literal["amp", "bf16", "mixed", "fp32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSharding:
    """How the state is spread over accelerators."""

    kind: ShardingKind = "none"
    ways: int = 1
    """Accelerators that share one copy of the state."""
    offload_optimizer: bool = False
    """Optimizer states (and the gradients that feed them) live in main memory."""
    offload_weights: bool = False
    """Weights live in main memory and are brought layer by layer."""
    bucket_elements: int = 500_000_000
    """Elements of DeepSpeed's reduce bucket, which is allocated whole (its default; with ZeRO-3: hidden²)."""
    buckets: int = 1
    """2 where communication overlaps with the backward pass."""

    @property
    def splits_weights(self) -> bool:
        """Each accelerator holds a part of the weights."""
        return self.kind in ("zero3", "fsdp")

    @property
    def splits_gradients(self) -> bool:
        """Each accelerator holds a part of the gradients."""
        return self.kind in ("zero2", "zero3", "fsdp")

    @property
    def splits_optimizer(self) -> bool:
        """Each accelerator holds a part of the optimizer states."""
        return self.kind in ("zero1", "zero2", "zero3", "fsdp")

    @property
    def deepspeed(self) -> bool:
        """DeepSpeed keeps bf16 weights and fp32 masters, whatever the trainer's own precision."""
        return self.kind.startswith("zero")


class OptimizerCost(NamedTuple):
    """States of an optimizer per trained parameter."""

    elements: float
    """State elements in the precision of the trained weights."""
    extra_bytes: float
    """Bytes in a precision of its own (8-bit states and their block scales)."""
    temporary_elements: float
    """Elements allocated only while it steps."""


OPTIMIZERS: Final[dict[str, OptimizerCost]] = {
    # torch.optim.AdamW: two states; the foreach form makes one temporary copy (the square root), the fused none
    "adamw_torch": OptimizerCost(2, 0, 1),
    "adamw_torch_fused": OptimizerCost(2, 0, 0),
    "adamw_apex_fused": OptimizerCost(2, 0, 0),
    # bitsandbytes: two 8-bit states, one fp32 scale per 256 elements each (Dettmers 2110.02861)
    "adamw_8bit": OptimizerCost(0, 2 + 8 / 256, 0),
    "adamw_bnb_8bit": OptimizerCost(0, 2 + 8 / 256, 0),
    "paged_adamw_8bit": OptimizerCost(0, 0, 0),  # pages leave the card under pressure
    "paged_adamw_32bit": OptimizerCost(0, 0, 0),
    "adamw_torch_8bit": OptimizerCost(0, 2 + 8 / 256, 0),
    "adamw_torch_4bit": OptimizerCost(0, 1 + 8 / 128, 0),
    "lion_32bit": OptimizerCost(1, 0, 0),
    "lion_8bit": OptimizerCost(0, 1 + 4 / 256, 0),
    "sgd": OptimizerCost(0, 0, 0),
    "adafactor": OptimizerCost(0.01, 0, 1),  # a row and a column per matrix (Shazeer 1804.04235)
    "muon": OptimizerCost(1.1, 0, 1),  # one momentum for matrices; embeddings and norms use Adam
}
DEFAULT_OPTIMIZER: Final = "adamw_torch_fused"
"""transformers' default with torch >= 2.8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """One training step on one accelerator."""

    shape: ModelShape
    trained: int
    """Parameters that are trained (adapters included), in the whole model."""
    adapted: tuple[Linear, ...] = ()
    """Linear layers that carry an adapter; empty when weights themselves are trained."""
    trained_copies: int = 0
    """Of `trained`: whole modules that PEFT copies and trains beside the adapters (embeddings, output layer)."""
    trained_layers: int | None = None
    """Layers through which gradients flow; None for all."""
    micro_batch: int = 1
    """Sequences per accelerator and micro-step (a preference pair counts twice)."""
    sequences_per_row: int = 1
    """2 for preference pairs."""
    seq_len: int = 2048
    """Tokens of the longest sequence."""
    weight_bits: int = 16
    """Bits of a frozen base weight: 16, 8 or 4."""
    quantization: Literal["bnb", "bnb-double", "gptq"] = "bnb-double"
    kept_bytes: int = 2
    """Bytes of weights that quantisation leaves alone; 4 where PEFT's k-bit preparation upcasts them."""
    layout: Layout = "amp"
    """amp: fp32 trained weights under bf16 autocast; bf16: everything bf16; mixed: bf16 weights, fp32 masters."""
    optimizer: str = DEFAULT_OPTIMIZER
    optimizer_temporaries: float | None = None
    """Overrides the optimizer's own temporary copies (torch 2.0 made two)."""
    checkpointing: bool = True
    flash: bool = True
    """Attention that keeps no score matrix (FlashAttention, SDPA)."""
    mask_4d: bool = False
    """Block-diagonal masks of seq × seq, as LLaMA-Factory makes for neat packing without FlashAttention."""
    chunked_loss: bool = False
    """Loss that never holds all logits (Liger, cut cross-entropy)."""
    logit_bytes: float = 12.0
    """Bytes per logit at the peak of an ordinary loss; see `ftsdk.sizing.memory.terms`."""
    dropout: bool = False
    """Dropout on the adapters' inputs."""
    sharding: StateSharding = StateSharding()
    frozen_copies: tuple[tuple[str, int], ...] = ()
    """Further models in bf16: (name, parameters), e.g. DPO's reference."""
    generation: Generation | None = None

    @property
    def tokens(self) -> int:
        """Tokens of a micro-step on one accelerator."""
        return self.micro_batch * self.seq_len

    @property
    def full(self) -> bool:
        """Weights themselves are trained."""
        return not self.adapted

    @property
    def trained_width(self) -> int:
        """Bytes of a trained weight while it is used."""
        return 4 if self.layout in ("amp", "fp32") and not self.sharding.deepspeed else 2

    @property
    def layers(self) -> int:
        """Layers that keep activations."""
        return self.shape.num_layers if self.trained_layers is None else self.trained_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Answers sampled during training (GRPO and its variants, PPO)."""

    sequences: int
    """Answers that are sampled at the same time on one accelerator."""
    length: int
    """Tokens of prompt and answer."""
    reserved_share: float = 0.0
    """Share of the card that an engine beside the trainer takes for itself (vLLM's gpu_memory_utilization)."""
