"""The table of other programs' names, and their places in a spec.

`LLAMAFACTORY` is read both ways: a LLaMA-Factory argument goes to its place, and the engine writes it from there.
`OTHERS` is read one way: names of PAI's Model Gallery and of older releases of LLaMA-Factory and transformers.
A name that has the same meaning under `hyperparameters` needs no entry.

Sources: LLaMA-Factory's `hparams/*.py` at every tag from v0.2.0 to v0.9.5; transformers' `training_args.py` 4.40, 4.46,
4.57 and 5.6; PAI Model Gallery's hyperparameter tables (help.aliyun.com, "Model Gallery", LLM fine-tuning).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ftsdk.errors import SpecError

if TYPE_CHECKING:
    from pydantic import BaseModel


class Place(NamedTuple):
    """Where a value belongs in a spec, and how it is written on either side."""

    path: str
    """Dots go deeper, e.g. `tuning.rank`."""
    read: Callable[[Any], object] = lambda value: value
    """Their value -> ours; `NOTHING` if it asks for nothing."""
    write: Callable[[Any], object] = lambda value: value
    """Our value -> theirs."""


NOTHING: Final = object()


def _listed(value: Any) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts or () if str(part).strip()]


def _joined(value: Iterable[str]) -> str | None:
    return ",".join(value) or None


def _folder(value: object) -> object:
    """A job resumes its own checkpoints in any case, which `true` asks for."""
    return NOTHING if isinstance(value, bool) or not value else value


def _number(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _list(path: str) -> Place:
    return Place(path, _listed, _joined)


def _if_true(path: str, meant: object) -> Place:
    """A switch that stands for one value."""
    return Place(path, lambda value: meant if value else NOTHING)


def _squared(path: str) -> Place:
    """A side of a picture, which is now given in pixels."""
    return Place(path, lambda value: int(value) ** 2)


LOSSES: Mapping[str, str] = MappingProxyType({"sigmoid": "dpo", "ipo": "ipo", "orpo": "orpo", "simpo": "simpo"})
"""`pref_loss` under `stage: dpo` -> our method; every other loss passes through."""

LLAMAFACTORY: Mapping[str, Place] = MappingProxyType(
    {
        "model_name_or_path": Place("model"),
        "model_revision": Place("revision"),
        "run_name": Place("name"),
        "resume_from_checkpoint": Place("checkpoint.start_from", read=_folder),
        "stage": Place("method.stage", write=lambda stage: "dpo" if stage in LOSSES.values() else stage),
        "pref_loss": Place(
            "method.stage",
            read=lambda loss: LOSSES.get(loss, NOTHING),
            write={ours: theirs for theirs, ours in LOSSES.items()}.get,
        ),
        "pref_beta": Place("method.beta", _number),
        "pref_ftx": Place("method.sft_weight", _number),
        "simpo_gamma": Place("method.gamma", _number),
        "dpo_label_smoothing": Place("method.label_smoothing", _number),
        "reward_model": Place("method.reward_model"),
        "finetuning_type": Place("tuning.type", write=lambda kind: {"qlora": "lora"}.get(kind, kind)),
        "lora_rank": Place("tuning.rank"),
        "lora_alpha": Place("tuning.alpha"),
        "lora_dropout": Place("tuning.dropout", _number),
        "lora_target": _list("tuning.targets"),
        "use_dora": Place("tuning.dora", write=lambda value: value or None),
        "use_rslora": Place("tuning.rslora", write=lambda value: value or None),
        "pissa_init": Place("tuning.pissa", write=lambda value: value or None),
        "loraplus_lr_ratio": Place("tuning.plus_lr_ratio", _number),
        "quantization_bit": Place("tuning.bits"),
        "double_quantization": Place("tuning.double_quantization"),
        "freeze_trainable_layers": Place("tuning.trainable_layers"),
        "freeze_trainable_modules": _list("tuning.trainable_modules"),
        "freeze_extra_modules": _list("tuning.extra_modules"),
        "oft_block_size": Place("tuning.block_size"),
        "oft_target": _list("tuning.targets"),
        "dataset": _list("dataset.train"),
        "eval_dataset": _list("dataset.eval"),
        "dataset_dir": Place("dataset.directory"),
        "val_size": Place("dataset.eval_fraction", write=lambda value: None),
        "max_samples": Place("dataset.max_samples"),
        "streaming": Place("dataset.streaming", write=lambda value: value or None),
        "disable_gradient_checkpointing": Place(
            "hyperparameters.gradient_checkpointing", lambda value: not value, lambda value: not value
        ),
        "save_total_limit": Place("checkpoint.keep", lambda value: max(2, int(value))),
    }
)
"""LLaMA-Factory's name -> its place. A tuning's names have a place only in a tuning that has the field."""

OTHERS: Mapping[str, Place] = MappingProxyType(
    {
        # PAI Model Gallery
        "training_strategy": Place("method.stage"),
        "seq_length": Place("hyperparameters.cutoff_len"),
        "lora_dim": Place("tuning.rank"),
        "dpo_beta": Place("method.beta", _number),
        "load_in_4bit": _if_true("tuning.bits", 4),
        "load_in_8bit": _if_true("tuning.bits", 8),
        "apply_chat_template": Place(
            "hyperparameters.template", lambda value: NOTHING if value in (True, "true", "True") else "empty"
        ),
        "system_prompt": Place("hyperparameters.default_system"),
        # LLaMA-Factory before 0.9.5
        "dpo_ftx": Place("method.sft_weight", _number),
        "dpo_loss": Place("method.stage", lambda loss: LOSSES.get(loss, NOTHING)),
        "orpo_beta": Place("method.beta", _number),
        "ref_model_checkpoint": Place("hyperparameters.ref_model_adapters"),
        "prompt_template": Place("hyperparameters.template"),
        "dev_ratio": Place("dataset.eval_fraction"),
        "num_layer_trainable": Place("tuning.trainable_layers"),
        "name_module_trainable": _list("tuning.trainable_modules"),
        "neft_alpha": Place("hyperparameters.neftune_noise_alpha", _number),
        "sft_packing": Place("hyperparameters.packing"),
        "cache_path": Place("hyperparameters.tokenized_path"),
        "new_special_tokens": Place("hyperparameters.add_special_tokens"),
        "badam_switch_block_every": Place("hyperparameters.badam_switch_interval"),
        "lora_bf16_mode": _if_true("hyperparameters.pure_bf16", True),
        "image_dir": Place("hyperparameters.media_dir"),
        "image_resolution": _squared("hyperparameters.image_max_pixels"),
        "video_resolution": _squared("hyperparameters.video_max_pixels"),
        # transformers before 5.0
        "evaluation_strategy": Place("hyperparameters.eval_strategy"),
        "group_by_length": _if_true("hyperparameters.train_sampling_strategy", "group_by_length"),
        "per_gpu_train_batch_size": Place("hyperparameters.per_device_train_batch_size"),
        "per_gpu_eval_batch_size": Place("hyperparameters.per_device_eval_batch_size"),
        "adafactor": _if_true("hyperparameters.optim", "adafactor"),
        "no_cuda": _if_true("hyperparameters.use_cpu", True),
        "torchdynamo": Place("hyperparameters.torch_compile_backend"),
        "push_to_hub_model_id": Place("hyperparameters.hub_model_id"),
        "fsdp_min_num_params": Place("hyperparameters.fsdp_config.min_num_params"),
        "fsdp_transformer_layer_cls_to_wrap": Place("hyperparameters.fsdp_config.transformer_layer_cls_to_wrap"),
    }
)
"""Names of others -> their place."""

_RAY = "ftsdk starts the processes itself; set resources.num_nodes and resources.accelerators_per_node"
_KT = "KTransformers takes it from an accelerate configuration since LLaMA-Factory 0.9.5"
_ALWAYS = "the trainer does it in any case"
_REMOVED = "the trainer no longer has it and trains the same without it"

REPLACED: Mapping[str, str] = MappingProxyType(
    {
        "output_dir": "every job writes to its own folder; set `output` for where that is",
        "overwrite_output_dir": "overwriting would throw away the checkpoints that a restart resumes from",
        "save_strategy": "set `checkpoint.every_minutes` or `checkpoint.every_steps`",
        "save_only_model": "a checkpoint without optimizer state cannot be resumed",
        "save_on_each_node": "every node's part of a checkpoint is kept anyway",
        "enable_jit_checkpoint": "ftsdk saves on interruption itself",
        "report_to": "set `tracking`",
        "logging_dir": "TensorBoard's files lie in the job's own folder",
        "disable_tqdm": "progress comes from ftsdk's own metric lines",
        "do_train": "ftsdk trains",
        "ray_num_workers": _RAY,
        "ray_init_kwargs": _RAY,
        "master_addr": _RAY,
        "master_port": _RAY,
    }
)
"""Arguments of LLaMA-Factory 0.9.5 that ftsdk must own: ignored, with the reason."""

GONE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("ray_run_name", "ray_storage_path", "ray_storage_filesystem", "resources_per_worker",
             "placement_strategy"), _RAY),
        **dict.fromkeys(
            ("kt_optimize_rule", "cpu_infer", "chunk_size", "mode", "kt_maxlen", "kt_mode", "kt_use_cuda_graph",
             "kt_force_think"), _KT),
        **dict.fromkeys(("save_safetensors", "visual_inputs", "use_mps_device"), _ALWAYS),
        **dict.fromkeys(
            ("reserved_label_len", "disable_version_checking", "resume_lora_training", "use_ipex", "jit_mode_eval",
             "half_precision_backend", "fp16_backend", "fp16_opt_level", "past_index", "tpu_num_cores",
             "tpu_metrics_debug", "use_legacy_prediction_loop", "include_inputs_for_metrics", "mp_parameters",
             "ray_scope", "include_tokens_per_second", "dispatch_batches", "split_batches", "vllm_dtype",
             "padding_side", "ppo_logger"), _REMOVED),
        "use_auth_token": "name HF_TOKEN in `secrets`",
    }
)  # fmt: skip
"""Arguments of older releases that need no successor: ignored, with the reason."""

REWRITTEN: Mapping[str, str] = MappingProxyType(
    {
        "train_mm_proj_only": "write freeze_language_model: true and freeze_multi_modal_projector: false",
        "checkpoint_dir": "give the adapter's folder as `model`",
        "max_source_length": "write cutoff_len, the length of prompt and answer together",
        "max_target_length": "write cutoff_len, the length of prompt and answer together",
        "source_prefix": "put it into the data or into default_system",
        **dict.fromkeys(
            ("hf_hub_token", "hf_auth_token", "hub_token", "ms_hub_token", "om_hub_token", "push_to_hub_token"),
            "a spec holds no secret values; name HF_TOKEN (or MODELSCOPE_API_TOKEN) in `secrets`",
        ),
    }
)
"""Arguments that cannot be taken over as they are, and what to write instead."""


_LOSS_NAMES = ("pref_loss", "dpo_loss")


def place_of(name: str) -> Place | None:
    """Where a foreign name belongs; None if the table does not have it."""
    return LLAMAFACTORY.get(name) or OTHERS.get(name)


def is_foreign(name: str) -> bool:
    """Whether the table knows a name: to move, to ignore or to refuse it."""
    return place_of(name) is not None or name in REPLACED or name in GONE or name in REWRITTEN


def put(spec: dict[str, object], name: str, value: object, *, replace: bool = False) -> str | None:
    """Write the value of a foreign name to its place in a spec's data; returns a note for the user, or None.

    Raises SpecError if the place already says something else, unless `replace`, and for names that must be rewritten.
    """
    if name in REWRITTEN and value not in (None, False):
        raise SpecError(f"{name}: {REWRITTEN[name]}.")
    place = place_of(name)
    is_loss = isinstance(value, str) and value in LOSSES
    if name in _LOSS_NAMES and value is not None and not is_loss:  # it stands for no method of ours
        place = Place("hyperparameters.pref_loss")
    if place is None:
        return None if value in (None, False) or name == "do_train" else f"{name} is ignored: {_reason(name)}."
    ours = NOTHING if value is None else _read(place, name, value)
    if ours is NOTHING:
        return None
    if place.path == "tuning.bits":
        _quantise(spec, name)
    before = write_at(spec, place.path, ours, replace=replace or (name in _LOSS_NAMES and _is_dpo(spec)))
    if before is not NOTHING and before != ours and name not in _LOSS_NAMES:  # other stages have no such loss
        raise SpecError(f"{name} and {place.path} say different things ({ours!r} and {before!r}); keep one of them.")
    return f"{name} is {place.path} here."


def _read(place: Place, name: str, value: object) -> object:
    try:
        return place.read(value)
    except (TypeError, ValueError):
        raise SpecError(f"{name}: {value!r} is no value for it.") from None


def _is_dpo(spec: Mapping[str, object]) -> bool:
    method = spec.get("method")
    return not isinstance(method, Mapping) or method.get("stage", "dpo") == "dpo"


def _reason(name: str) -> str:
    return REPLACED.get(name) or GONE.get(name) or REWRITTEN[name]


def _quantise(spec: dict[str, object], name: str) -> None:
    """Quantised weights under LoRA are a tuning of their own here."""
    tuning = spec.setdefault("tuning", {})
    if not isinstance(tuning, Mapping):
        return  # refused by the validation
    kind = tuning.get("type", "lora")
    if kind == "lora":
        spec["tuning"] = {**tuning, "type": "qlora"}
    elif kind not in ("qlora", "oft"):
        raise SpecError(f"{name}: quantised weights cannot be trained with tuning {kind}; use qlora or oft.")


def write_at(spec: dict[str, object], path: str, value: object, *, replace: bool) -> object:
    """Set a value unless the place has one; returns the existing value, or `NOTHING`."""
    *above, last = path.split(".")
    inner = spec
    for part in above:
        existing = inner.get(part)
        inner[part] = inner = dict(existing) if isinstance(existing, Mapping) else {}
    before = inner.get(last, NOTHING)
    if before is None or before is NOTHING or replace:
        inner[last] = value
        return NOTHING
    return before


def written(part: BaseModel, prefix: str) -> dict[str, object]:
    """LLaMA-Factory's arguments for the fields of a part of a spec, e.g. a tuning; the inverse of reading them."""
    arguments: dict[str, object] = {}
    for name, place in LLAMAFACTORY.items():
        above, _, field = place.path.rpartition(".")
        if above == prefix and field in type(part).model_fields:
            arguments[name] = place.write(getattr(part, field))
    return arguments
