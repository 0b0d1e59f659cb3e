"""Settings that LLaMA-Factory 0.9.5 cannot combine, refused when a job is planned, before a machine is paid for.

Each rule is one of the trainer's own checks (`hparams/parser.py`, `hparams/finetuning_args.py`, and its loaders) with
the field in our spec and what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ftsdk.errors import UnsupportedError
from ftsdk.spec import Full, JobSpec, Lora, Oft, QLora


class Combination(NamedTuple):
    """Settings that do not work together, and the error that says so."""

    broken: Callable[[JobSpec], bool]
    sentence: str


REFERENCED: Final = frozenset({"dpo", "ipo", "kto"})
"""Methods that compare with a reference model."""


def check(spec: JobSpec) -> None:
    """Raises UnsupportedError with the first rule that the spec breaks."""
    for rule in RULES:
        if rule.broken(spec):
            raise UnsupportedError(rule.sentence.format(stage=spec.method.stage, tuning=spec.tuning.type))


def _set(spec: JobSpec, *names: str) -> bool:
    """Whether any of these passed-through arguments is switched on."""
    return any(_value(spec, name) for name in names)


def _value(spec: JobSpec, name: str) -> object:
    return spec.hyperparameters.passed_through.get(name)


def _pissa(spec: JobSpec) -> bool:
    return isinstance(spec.tuning, Lora) and spec.tuning.pissa


def _parts(value: object) -> int:
    return len(value.split(",")) if isinstance(value, str) else len(value) if isinstance(value, list | tuple) else 0


def _shares_differ(spec: JobSpec) -> bool:
    """`interleave_probs` needs a number for each training set, and for each held-out set too."""
    count = _parts(_value(spec, "interleave_probs"))
    return bool(count) and any(count != len(names) for names in (spec.dataset.train, spec.dataset.eval or [0] * count))


def _held_out(spec: JobSpec) -> bool:
    return bool(spec.dataset.eval or spec.dataset.eval_fraction or spec.dataset.eval_rows)


def _stage(spec: JobSpec, *stages: str) -> bool:
    return spec.method.stage in stages


RULES: Final = (
    Combination(
        lambda s: isinstance(s.tuning, QLora) and _pissa(s),
        "tuning.pissa cannot start from a quantised model: use `type: lora` with pissa, or qlora without it.",
    ),
    Combination(
        lambda s: _pissa(s) and _stage(s, *REFERENCED, "ppo"),
        "tuning.pissa changes the base model, which {stage} needs as its reference: leave pissa out, or use orpo or "
        "simpo, which have no reference.",
    ),
    Combination(
        lambda s: _pissa(s) and s.sharding.type == "zero3",
        "tuning.pissa needs whole weights at the start: use sharding zero2 or fsdp, or leave pissa out.",
    ),
    Combination(
        lambda s: bool(s.hyperparameters.neat_packing) and not _stage(s, "sft"),
        "hyperparameters.neat_packing is for sft only: leave it out for {stage}.",
    ),
    Combination(
        lambda s: bool(s.hyperparameters.packing) and not _stage(s, "sft", "pt"),
        "hyperparameters.packing is for sft and pt only: leave it out for {stage}, whose rows are pairs or labelled.",
    ),
    Combination(
        lambda s: _set(s, "train_on_prompt", "mask_history") and not _stage(s, "sft"),
        "hyperparameters.train_on_prompt and mask_history are for sft only: leave them out for {stage}.",
    ),
    Combination(
        lambda s: _set(s, "train_on_prompt") and _set(s, "mask_history"),
        "hyperparameters.train_on_prompt and mask_history exclude each other: keep one of them.",
    ),
    Combination(
        lambda s: _set(s, "interleave_probs") and _value(s, "mix_strategy") in (None, "concat"),
        "hyperparameters.interleave_probs mixes nothing where data sets are concatenated: set mix_strategy to "
        "interleave_under or interleave_over, or leave it out.",
    ),
    Combination(
        _shares_differ,
        "hyperparameters.interleave_probs needs one number for each data set, held-out ones too.",
    ),
    Combination(
        lambda s: bool(s.method.label_smoothing) and not _stage(s, "dpo"),
        "method.label_smoothing is for dpo only: leave it out for {stage}.",
    ),
    Combination(
        lambda s: _set(s, "load_best_model_at_end") and _stage(s, "rm", "ppo"),
        "hyperparameters.load_best_model_at_end would lose the value head of {stage}: leave it out.",
    ),
    Combination(
        lambda s: bool(s.dataset.streaming) and s.hyperparameters.max_steps is None,
        "dataset.streaming tells no number of rows: set hyperparameters.max_steps.",
    ),
    Combination(
        lambda s: bool(s.dataset.streaming) and s.dataset.max_samples is not None,
        "dataset.max_samples cannot be taken of a stream: set hyperparameters.max_steps instead.",
    ),
    Combination(
        lambda s: bool(s.dataset.streaming) and s.dataset.eval_fraction is not None,
        "dataset.eval_fraction is a share of an unknown number of rows in a stream: set dataset.eval_rows.",
    ),
    Combination(
        lambda s: _set(s, "do_eval", "do_predict", "predict_with_generate") and not _held_out(s),
        "do_eval and do_predict need held-out rows: set dataset.eval or dataset.eval_fraction, or leave them out.",
    ),
    Combination(
        lambda s: _set(s, "predict_with_generate") and not _stage(s, "sft"),
        "hyperparameters.predict_with_generate is for sft only: leave it out for {stage}.",
    ),
    Combination(
        lambda s: _set(s, "do_predict") and _stage(s, "sft") and not _set(s, "predict_with_generate"),
        "hyperparameters.do_predict needs predict_with_generate: true, or leave it out.",
    ),
    Combination(
        lambda s: _set(s, "predict_with_generate") and _set(s, "compute_accuracy"),
        "hyperparameters.predict_with_generate and compute_accuracy exclude each other: keep one of them.",
    ),
    Combination(
        lambda s: isinstance(s.tuning, QLora) and _set(s, "resize_vocab"),
        "hyperparameters.resize_vocab cannot change a quantised model: use `type: lora`, or leave it out.",
    ),
    Combination(
        lambda s: isinstance(s.tuning, QLora) and _set(s, "fp8"),
        "hyperparameters.fp8 does not train quantised weights: use `type: lora`, or leave it out.",
    ),
    Combination(
        lambda s: _value(s, "infer_backend") not in (None, "huggingface"),
        "hyperparameters.infer_backend is for chats: leave it out of a training.",
    ),
    Combination(
        lambda s: isinstance(s.tuning, Lora) and _set(s, "use_galore", "use_apollo", "use_badam"),
        "GaLore, APOLLO and BAdam are for full tuning: leave them out, or set `tuning: full`.",
    ),
    Combination(
        lambda s: _set(s, "use_galore", "use_apollo") and s.sharding.type.startswith("zero"),
        "GaLore and APOLLO do not work with DeepSpeed: set `sharding: ddp`.",
    ),
    Combination(
        lambda s: _set(s, "use_llama_pro") and isinstance(s.tuning, Full | Oft),
        "hyperparameters.use_llama_pro trains added blocks: set `tuning: freeze` or a LoRA tuning.",
    ),
    Combination(
        lambda s: _set(s, "pure_bf16") and s.sharding.type == "zero3",
        "hyperparameters.pure_bf16 does not work with zero3: use zero2 or fsdp, or leave it out.",
    ),
    Combination(
        lambda s: _set(s, "deepspeed", "fsdp") and s.sharding.type != "ddp",
        "`sharding` and hyperparameters.deepspeed or fsdp both say how the state is spread: keep one of them.",
    ),
    Combination(
        lambda s: _set(s, "use_unsloth") and s.sharding.type == "zero3",
        "hyperparameters.use_unsloth does not work with zero3: use `sharding: ddp`.",
    ),
    Combination(
        lambda s: isinstance(s.tuning, QLora) and s.tuning.bits == 8 and s.sharding.type in ("zero3", "fsdp"),
        "8-bit weights cannot be split: set tuning.bits to 4, or use sharding ddp or zero2.",
    ),
)
