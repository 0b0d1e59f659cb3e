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


def _processes(spec: JobSpec) -> int:
    return spec.resources.num_nodes * spec.resources.accelerators_per_node


def _is_below(spec: JobSpec, upper: str, lower: str) -> bool:
    """Whether a passed-through upper limit is below its lower one; both must be set."""
    high, low = _value(spec, upper), _value(spec, lower)
    return isinstance(high, int) and isinstance(low, int) and high < low


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
    Combination(
        lambda s: isinstance(s.tuning, QLora) and _set(s, "create_new_adapter"),
        "hyperparameters.create_new_adapter merges the old adapter, which quantised weights forbid: leave it out.",
    ),
    Combination(
        lambda s: _set(s, "predict_with_generate") and s.sharding.type == "zero3",
        "hyperparameters.predict_with_generate does not work with zero3: use zero2 or fsdp.",
    ),
    Combination(
        lambda s: _value(s, "quantization_device_map") == "auto",
        "hyperparameters.quantization_device_map: auto is for chats: leave it out of a training.",
    ),
    Combination(
        lambda s: _processes(s) > 1 and _set(s, "galore_layerwise", "apollo_layerwise"),
        "galore_layerwise and apollo_layerwise train in one process: use one accelerator, or leave them out.",
    ),
    Combination(
        lambda s: _processes(s) > 1 and _set(s, "use_badam") and (_value(s, "badam_mode") or "layer") == "ratio",
        "hyperparameters.badam_mode: ratio trains in one process: use one accelerator, or badam_mode: layer.",
    ),
    Combination(
        lambda s: _processes(s) > 1 and _set(s, "use_badam") and s.sharding.type != "zero3",
        "hyperparameters.use_badam on several accelerators needs `sharding: zero3`.",
    ),
    Combination(
        lambda s: sum(_set(s, name) for name in ("use_galore", "use_apollo", "use_badam")) > 1,
        "use_galore, use_apollo and use_badam are optimizers: keep one of them.",
    ),
    Combination(
        lambda s: _set(s, "use_kt") and s.sharding.type == "zero3",
        "hyperparameters.use_kt does not work with zero3: use `sharding: ddp`.",
    ),
    Combination(
        lambda s: any(_is_below(s, f"{kind}_max_pixels", f"{kind}_min_pixels") for kind in ("image", "video")),
        "image_max_pixels and video_max_pixels must be at least image_min_pixels and video_min_pixels.",
    ),
    Combination(
        lambda s: any(
            _value(s, f"{model}_quantization_bit") not in (None, 4, 8) for model in ("ref_model", "reward_model")
        ),
        "ref_model_quantization_bit and reward_model_quantization_bit take 4 or 8.",
    ),
    Combination(
        lambda s: _set(s, "export_quantization_bit") and not _value(s, "export_quantization_dataset"),
        "export_quantization_bit is for exports and needs export_quantization_dataset: leave it out of a training.",
    ),
)
