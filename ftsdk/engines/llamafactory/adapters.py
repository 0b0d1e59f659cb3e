"""Tunings of few parameters -> peft's settings, as LLaMA-Factory's program hands them to peft 0.18. Pure.

LLaMA-Factory creates LoRA and OFT only. Its trainers work with any model of peft's, so its data, templates and methods
are used as they are, and `ftsdk.runtime.programs.model.adapters` creates these adapters in LoRA's place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ftsdk.contract.programs import AdapterSettings
from ftsdk.engines.base import Arguments
from ftsdk.errors import UnsupportedError
from ftsdk.sizing.architecture.shapes import num_biases
from ftsdk.sizing.estimate import shape_of
from ftsdk.spec import JobSpec, Tuning
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
    Targeted,
    Vera,
    VirtualTokens,
)

if TYPE_CHECKING:
    from ftsdk.facts import Facts

LEARNING_RATES: Mapping[str, float] = {
    "adalora": 5e-4,  # within the paper's 5e-4 to 2.2e-3 on GLUE (arXiv:2303.10512, appendix)
    "ia3": 3e-3,  # the paper's (arXiv:2205.05638, 3.4)
    "vera": 1e-3,  # ten times LoRA's: the authors find that its vectors need about an order of magnitude more
    "prompt": 3e-2,  # peft's example of prompt tuning
    "p_tuning": 1e-3,  # peft's example of P-tuning
    "prefix": 1e-2,  # peft's example of prefix tuning
    "p_tuning_v2": 1e-2,
    "bitfit": 1e-3,  # the largest of the paper's grid, 1e-4 to 1e-3 (arXiv:2106.10199)
    "ln_tuning": 1e-3,  # as other tunings of a few vectors; the paper's is for a vision model
    "fourierft": 3e-3,  # as other tunings of few values
}
"""Peak learning rate by tuning; the others have LoRA's. A rule of thumb for each, to be swept: `ftsdk sweep`."""
BLIND_TO_CHECKPOINTING = (Prefix,)
"""Tunings whose keys and values recomputed layers do not see: transformers drops the cache there."""


def settings(tuning: Tuning) -> AdapterSettings | None:
    """What the job's program gives to peft, None for a tuning that LLaMA-Factory has itself."""
    if not isinstance(tuning, Targeted | VirtualTokens | BitFit):
        return None
    kind = "prefix" if isinstance(tuning, Prefix) else tuning.type
    given = AdapterSettings(kind=kind, arguments=_sizes(tuning))
    if isinstance(tuning, AdaLora):
        given |= {"warmup_share": tuning.warmup_share, "final_share": tuning.final_share}
    return given


def _sizes(tuning: Tuning) -> Arguments:
    """peft's own arguments, but for the modules where LLaMA-Factory chooses them."""
    match tuning:
        case AdaLora(rank=rank, initial_rank=initial, alpha=alpha, dropout=dropout, every_steps=every):
            scale = {"lora_alpha": alpha or 2 * rank, "lora_dropout": dropout}
            return {"target_r": rank, "init_r": initial, **scale, "deltaT": every}
        case Ia3(targets=targets, feedforward=feedforward):
            return {"target_modules": [*targets], "feedforward_modules": [*feedforward]}
        case Vera(rank=rank, dropout=dropout, initial_scale=scale):
            return {"r": rank, "vera_dropout": dropout, "d_initial": scale}
        case Boft(block_size=size):
            return {"boft_block_size": size, "boft_n_butterfly_factor": 1}
        case Hra(rank=rank):
            return {"r": rank}
        case Loha(rank=rank, alpha=alpha) | Lokr(rank=rank, alpha=alpha):
            return {"r": rank, "alpha": alpha or rank}
        case LnTuning(targets=targets):
            return {"target_modules": [*targets]}
        case FourierFt(num_frequencies=number, scaling=scale):
            return {"n_frequency": number, "scaling": scale}
        case VirtualTokens(num_virtual_tokens=number):
            return {"num_virtual_tokens": number, **_encoder(tuning)}
    return {}


def _encoder(tuning: VirtualTokens) -> Arguments:
    match tuning:
        case Prompt(init_text=text) if text:
            return {"prompt_tuning_init": "TEXT", "prompt_tuning_init_text": text}
        case Prompt():
            return {"prompt_tuning_init": "SAMPLE_VOCAB"}  # better than random vectors (arXiv:2104.08691, figure 3b)
        case PTuning(encoder_hidden_size=width):
            return {"encoder_hidden_size": width}
        case Prefix(projection=True, encoder_hidden_size=width):
            return {"prefix_projection": True, "encoder_hidden_size": width}
    return {}


def arguments(tuning: Tuning) -> Arguments:
    """LLaMA-Factory's arguments for a tuning of peft's, and `peft`; empty for its own tunings."""
    given = settings(tuning)
    if given is None:
        return {}
    kind = "full" if isinstance(tuning, BitFit) else "lora"
    targets = {"lora_target": ",".join(tuning.targets)} if isinstance(tuning, Targeted) else {}
    checkpointing = {"disable_gradient_checkpointing": True} if isinstance(tuning, BLIND_TO_CHECKPOINTING) else {}
    return {"finetuning_type": kind, **targets, **checkpointing, "peft": given}


def refuse(spec: JobSpec, facts: Facts) -> None:
    """Raises UnsupportedError for what peft cannot do, or would do wrongly."""
    tuning, given = spec.tuning, spec.hyperparameters.passed_through
    if settings(tuning) is None:
        return
    for name in ("use_unsloth", "use_kt", "use_llama_pro", "use_galore", "use_apollo", "use_badam", "resize_vocab"):
        if given.get(name):
            raise UnsupportedError(
                f"hyperparameters.{name} cannot be used with tuning {tuning.type}: use `tuning: lora`."
            )
    if isinstance(tuning, Prompt | PTuning) and given.get("compute_accuracy"):
        raise UnsupportedError(
            f"hyperparameters.compute_accuracy compares tokens by place, and {tuning.type} puts vectors before them: "
            f"leave it out, or use `tuning: prefix`."
        )
    shape, _ = shape_of(spec, facts.model.config)
    if isinstance(tuning, BitFit) and shape is not None and not shape.notes and not num_biases(shape):
        raise UnsupportedError(
            f"tuning bitfit trains biases and {shape.model_type} models have none: use `tuning: ln_tuning`, which "
            f"trains as few weights, or `tuning: lora`."
        )


def notes(spec: JobSpec) -> Iterator[str]:
    """A sentence for what a user may not expect."""
    tuning = spec.tuning
    if isinstance(tuning, BLIND_TO_CHECKPOINTING) and spec.hyperparameters.gradient_checkpointing:
        yield f"tuning {tuning.type} trains without gradient checkpointing, which would hide its keys and values."
    if isinstance(tuning, VirtualTokens):
        yield f"tuning {tuning.type} cannot be merged into its base model: serve the two with peft."
    if isinstance(tuning, BitFit):
        yield "tuning bitfit makes a whole model: its biases differ from the base model's, and nothing else."
