"""Tunings of few parameters beside LoRA: what peft puts beside, before or into a frozen model.

The defaults are those of the papers or of peft 0.18; docs/methods/adapters.md says which.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ftsdk.spec.base import Part

Modules = tuple[str, ...]


class Targeted(Part):
    """Adapters beside or inside modules of the model."""

    targets: Modules = Field(default=("all",), strict=False)
    """Modules that get an adapter; `all` means every linear layer of the model."""


class AdaLora(Targeted):
    """LoRA whose total rank is shared out among the modules while it trains (AdaLoRA, arXiv:2303.10512)."""

    type: Literal["adalora"] = "adalora"
    rank: int = Field(default=8, ge=1)
    """Mean rank of a module at the end."""
    initial_rank: int = Field(default=12, ge=2)
    """Rank of every module at the start; the paper begins with one and a half times the final one."""
    alpha: int | None = Field(default=None, ge=1)
    """Scale of the update; twice the rank if left out."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    warmup_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps before ranks are cut."""
    final_share: float = Field(default=0.3, ge=0, lt=1)
    """Share of the steps after the cuts, with the mean rank reached."""
    every_steps: int = Field(default=10, ge=1)
    """Steps between two cuts."""

    @model_validator(mode="after")
    def _ranks_fall(self) -> AdaLora:
        if self.initial_rank <= self.rank:
            raise ValueError(f"initial_rank {self.initial_rank} must be more than rank {self.rank}")
        if self.warmup_share + self.final_share >= 1:
            raise ValueError("warmup_share and final_share must leave steps between them: give less than 1 together")
        return self


class Ia3(Targeted):
    """Vectors that scale keys, values and the input of the MLP's last layer (IA3, arXiv:2205.05638)."""

    type: Literal["ia3"] = "ia3"
    targets: Modules = Field(default=("k_proj", "v_proj", "down_proj"), strict=False)
    """Modules that are scaled."""
    feedforward: Modules = Field(default=("down_proj",), strict=False)
    """Those of `targets` whose input is scaled in place of their output."""

    @model_validator(mode="after")
    def _inputs_are_targets(self) -> Ia3:
        if missing := set(self.feedforward) - set(self.targets):
            raise ValueError(f"feedforward names {', '.join(sorted(missing))}, which targets lacks")
        return self


class Vera(Targeted):
    """Vectors that scale a pair of random matrices shared by all layers (VeRA, arXiv:2310.11454)."""

    type: Literal["vera"] = "vera"
    rank: int = Field(default=256, ge=1)
    """Rank of the shared matrices, which are not trained."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    initial_scale: float = Field(default=0.1, gt=0)
    """Value that the trained scales of the first matrix begin with."""


class Boft(Targeted):
    """Rotations of blocks and scales of the outputs (BOFT with one butterfly factor, arXiv:2311.06243).

    peft has several factors only where it can compile a CUDA extension, and takes one elsewhere without a word.
    """

    type: Literal["boft"] = "boft"
    block_size: int = Field(default=4, ge=1)
    """Size of a block; it must divide the inputs of every target."""


class Hra(Targeted):
    """A chain of Householder reflections (HRA, arXiv:2405.17484)."""

    type: Literal["hra"] = "hra"
    rank: int = Field(default=8, ge=1)
    """Reflections of a module."""


class Loha(Targeted):
    """The Hadamard product of two low-rank updates (LoHa: FedPara, arXiv:2108.06098)."""

    type: Literal["loha"] = "loha"
    rank: int = Field(default=8, ge=1)
    """Rank of each of the two."""
    alpha: int | None = Field(default=None, ge=1)
    """Scale of the update is alpha / rank; the rank if left out."""


class Lokr(Targeted):
    """The Kronecker product of two small matrices (LoKr: LyCORIS, arXiv:2309.14859)."""

    type: Literal["lokr"] = "lokr"
    rank: int = Field(default=8, ge=1)
    """Rank of the larger of the two."""
    alpha: int | None = Field(default=None, ge=1)
    """Scale of the update is alpha / rank; the rank if left out."""


class LnTuning(Targeted):
    """The model's own layer norms are trained (arXiv:2312.11420)."""

    type: Literal["ln_tuning"] = "ln_tuning"
    targets: Modules = Field(default=("input_layernorm", "post_attention_layernorm", "norm"), strict=False)
    """Norms that are trained, by the ends of their paths."""


class FourierFt(Targeted):
    """A few coefficients of the update's Fourier transform (FourierFT, arXiv:2405.03003)."""

    type: Literal["fourierft"] = "fourierft"
    num_frequencies: int = Field(default=1000, ge=1)
    """Coefficients of a module."""
    scaling: float = Field(default=300.0, gt=0)
    """Scale of the update."""
    targets: Modules = Field(default=("q_proj", "v_proj"), strict=False)
    """Modules that get an update; `all` means every linear layer of the model."""


class VirtualTokens(Part):
    """Vectors that are learned in place of tokens."""

    num_virtual_tokens: int = Field(default=20, ge=1)
    """Vectors before every row; each takes a position of the context."""


class Prompt(VirtualTokens):
    """Learned vectors before the embedded prompt (prompt tuning, arXiv:2104.08691)."""

    type: Literal["prompt"] = "prompt"
    init_text: str | None = None
    """Text whose embeddings the vectors begin with; left out: those of random tokens."""


class PTuning(VirtualTokens):
    """Learned vectors before the embedded prompt, written by a small network (P-tuning, arXiv:2103.10385)."""

    type: Literal["p_tuning"] = "p_tuning"
    encoder_hidden_size: int = Field(default=128, ge=1)
    """Width of the network, an MLP; the vectors alone are part of the model."""


class Prefix(VirtualTokens):
    """Learned keys and values before those of every layer (prefix tuning, arXiv:2101.00190)."""

    type: Literal["prefix"] = "prefix"
    projection: bool = False
    """Write them by an MLP, as the paper does; they alone are part of the model."""
    encoder_hidden_size: int = Field(default=512, ge=1)
    """Width of that MLP."""


class PTuningV2(Prefix):
    """Prefix tuning under the name of P-tuning v2 (arXiv:2110.07602): learned keys and values in every layer."""

    type: Literal["p_tuning_v2"] = "p_tuning_v2"  # type: ignore[assignment]


class BitFit(Part):
    """Every bias of the model is trained, and nothing else (arXiv:2106.10199)."""

    type: Literal["bitfit"] = "bitfit"


KINDS: tuple[type[Part], ...] = (
    AdaLora, Ia3, Vera, Boft, Hra, Loha, Lokr, LnTuning, FourierFt, Prompt, PTuning, Prefix, PTuningV2, BitFit,
)  # fmt: skip
"""Every tuning of the family."""
