"""Tuning: which of the model's weights change."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from ftsdk.spec.base import Part
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
    Prompt,
    PTuning,
    PTuningV2,
    Vera,
)


class Full(Part):
    """Every weight is trained."""

    type: Literal["full"] = "full"


class Freeze(Part):
    """Only some layers are trained."""

    type: Literal["freeze"] = "freeze"
    trainable_layers: int = 2
    """How many layers to train: the last N if positive, the first N if negative."""
    trainable_modules: tuple[str, ...] = Field(default=("all",), strict=False)
    """Modules inside those layers; `all` for every one."""
    extra_modules: tuple[str, ...] = Field(default=(), strict=False)
    """Modules outside the layers that are trained too, e.g. `lm_head`."""


class Lora(Part):
    """Low-rank adapters; the base model stays frozen."""

    type: Literal["lora"] = "lora"
    rank: int = Field(default=8, ge=1)
    """Rank of the update matrices."""
    alpha: int | None = Field(default=None, ge=1)
    """Scale of the update is alpha / rank; twice the rank if left out."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    targets: tuple[str, ...] = Field(default=("all",), strict=False)
    """Modules that get an adapter; `all` means every linear layer of the model."""
    dora: bool = False
    """Weight-decomposed adapters (DoRA)."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) (rsLoRA)."""
    pissa: bool = False
    """Start from the principal singular vectors of the weights (PiSSA)."""
    plus_lr_ratio: float | None = Field(default=None, gt=0)
    """LoRA+: learning rate of matrix B over that of matrix A."""


class QLora(Lora):
    """LoRA on a base model quantised by bitsandbytes."""

    type: Literal["qlora"] = "qlora"  # type: ignore[assignment]
    bits: Literal[4, 8] = 4
    """Bits of a base weight."""
    double_quantization: bool = True
    """Quantise the quantisation constants too (4 bits)."""


class Oft(Part):
    """Orthogonal fine-tuning: rotations of the weights."""

    type: Literal["oft"] = "oft"
    block_size: int = Field(default=32, ge=1)
    """Size of one rotation block."""
    targets: tuple[str, ...] = Field(default=("all",), strict=False)
    """Modules that are rotated; `all` means every linear layer."""
    bits: Literal[4, 8] | None = None
    """Bits of a base weight that bitsandbytes quantises (QOFT); left out: not quantised."""


TuningType = Literal[
    "full", "freeze", "lora", "qlora", "oft", "adalora", "ia3", "vera", "boft", "hra", "loha", "lokr", "ln_tuning",
    "fourierft", "prompt", "p_tuning", "prefix", "p_tuning_v2", "bitfit",
]  # fmt: skip
TUNINGS: tuple[str, ...] = get_args(TuningType)
Tuning = Annotated[
    Full
    | Freeze
    | Lora
    | QLora
    | Oft
    | AdaLora
    | Ia3
    | Vera
    | Boft
    | Hra
    | Loha
    | Lokr
    | LnTuning
    | FourierFt
    | Prompt
    | PTuning
    | Prefix
    | PTuningV2
    | BitFit,
    Field(discriminator="type"),
]
