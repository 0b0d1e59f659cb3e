"""LLaMA-Factory's configuration -> a spec's data, so that its YAML files run unchanged. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftsdk.engines.arguments import known_arguments
from ftsdk.engines.llamafactory import OWNED
from ftsdk.errors import SpecError, UnsupportedError, did_you_mean
from ftsdk.spec import Hyperparameters

MARKS = frozenset({"model_name_or_path", "finetuning_type", "do_train"})
"""A YAML with one of these at the top is LLaMA-Factory's, not ours."""

UNSET_MEANS: Mapping[str, Any] = {
    "learning_rate": 5e-5,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "lr_scheduler_type": "linear",
    "warmup_ratio": 0.0,
    "bf16": False,
    "fp16": False,
}
"""transformers' defaults where ours differ: an unchanged file keeps its meaning."""

PREFERENCE_STAGES = {"sigmoid": "dpo", "ipo": "ipo", "orpo": "orpo", "simpo": "simpo"}
SILENTLY_OURS = frozenset({"do_train", "dataset_dir", "plot_loss", "val_size", "run_name"})
LORA = {
    "lora_rank": "rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "use_dora": "dora",
    "use_rslora": "rslora",
    "pissa_init": "pissa",
    "loraplus_lr_ratio": "plus_lr_ratio",
}
METHOD = {
    "pref_beta": "beta",
    "pref_ftx": "sft_weight",
    "simpo_gamma": "gamma",
    "dpo_label_smoothing": "label_smoothing",
}


def is_llamafactory(data: Mapping[str, Any]) -> bool:
    """Whether a YAML's top-level keys are LLaMA-Factory's."""
    return not MARKS.isdisjoint(data) and "model" not in data


def read(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The spec's data and a note for every key that ftsdk replaces. Raises SpecError and UnsupportedError."""
    given = {key: value for key, value in data.items() if value is not None}
    known = known_arguments()
    for key in given:
        if key not in known:
            raise SpecError(f"unknown key '{key}': LLaMA-Factory has no such argument{did_you_mean(key, known)}.")
    for flag in ("do_predict", "predict_with_generate", "export_dir"):
        if given.get(flag) and not given.get("do_train"):
            raise UnsupportedError(f"{flag}: ftsdk trains; evaluate, predict and export with llamafactory-cli.")
    rest = dict(given)
    spec: dict[str, Any] = {
        "model": _model(rest),
        "revision": rest.pop("model_revision", None),
        "method": _method(rest),
        "tuning": _tuning(rest),
        "dataset": _dataset(rest),
        "tracking": _tracking(rest),
        "checkpoint": _checkpoint(rest),
    }
    if rest.get("run_name"):
        spec["name"] = rest["run_name"]
    rest["gradient_checkpointing"] = not rest.pop("disable_gradient_checkpointing", False)
    asked = [key for key, value in rest.items() if key in OWNED and key not in SILENTLY_OURS and value is not False]
    notes = [f"{key} is ignored: {OWNED[key]}." for key in asked]
    spec["hyperparameters"] = _hyperparameters(rest)
    return {key: value for key, value in spec.items() if value is not None}, notes


def _model(rest: dict[str, Any]) -> str:
    base, adapter = rest.pop("model_name_or_path", None), rest.pop("adapter_name_or_path", None)
    if base is None:
        raise SpecError("'model_name_or_path' is missing.")
    return str(adapter or base)


def _method(rest: dict[str, Any]) -> dict[str, Any]:
    stage, loss = rest.pop("stage", "sft"), rest.pop("pref_loss", "sigmoid")
    if stage == "dpo":
        if loss not in PREFERENCE_STAGES:
            raise UnsupportedError(f"pref_loss {loss}: choose one of {', '.join(PREFERENCE_STAGES)}.")
        stage = PREFERENCE_STAGES[loss]
    return {"stage": stage, **{ours: float(rest.pop(key)) for key, ours in METHOD.items() if key in rest}}


def _tuning(rest: dict[str, Any]) -> dict[str, Any]:
    kind = rest.pop("finetuning_type", "lora")
    lora = {ours: rest.pop(key) for key, ours in LORA.items() if key in rest}
    targets, bits = rest.pop("lora_target", None), rest.pop("quantization_bit", None)
    if kind == "full":
        return {"type": "full"}
    if kind == "freeze":
        layers = rest.pop("freeze_trainable_layers", 2)
        modules = _names(rest.pop("freeze_trainable_modules", "all"))
        return {"type": "freeze", "trainable_layers": layers, "trainable_modules": modules}
    if kind == "oft":
        rotated = _names(rest.pop("oft_target", "all"))
        return {"type": "oft", "block_size": rest.pop("oft_block_size", 32), "targets": rotated}
    quantised = {"type": "qlora", "bits": bits} if bits else {"type": "lora"}
    if bits:
        quantised["double_quantization"] = rest.pop("double_quantization", True)
        rest.pop("quantization_method", None)
    return {**quantised, **lora, **({"targets": _names(targets)} if targets else {})}


def _dataset(rest: dict[str, Any]) -> dict[str, Any]:
    train = rest.pop("dataset", None)
    if not train:
        raise SpecError("'dataset' is missing: name at least one dataset of dataset_info.json.")
    data = {
        "train": _names(train),
        "eval": _names(rest.pop("eval_dataset", ())),
        "directory": rest.pop("dataset_dir", "data"),
    }
    fraction = rest.pop("val_size", 0) or None
    if fraction is not None and fraction >= 1:
        raise UnsupportedError(f"val_size {fraction}: give the share of the rows, such as 0.1, or an eval_dataset.")
    sizes: dict[str, Any] = {key: rest.pop(key) for key in ("max_samples", "streaming") if key in rest}
    return {**data, "eval_fraction": fraction, **sizes}


def _tracking(rest: dict[str, Any]) -> dict[str, Any] | None:
    wanted = set(_names(rest.pop("report_to", ())))
    tracking: dict[str, Any] = {"tensorboard": bool(wanted & {"tensorboard", "all"})}
    if wanted & {"wandb", "all"}:
        tracking["wandb"] = {"project": str(rest.get("project") or "huggingface")}  # transformers' own default
    return tracking


def _checkpoint(rest: dict[str, Any]) -> dict[str, Any] | None:
    steps, keep = rest.pop("save_steps", None), rest.pop("save_total_limit", None)
    if rest.get("save_strategy") == "steps":
        del rest["save_strategy"]
    every = {"every_steps": int(steps)} if steps and steps >= 1 else {}
    return {**every, **({"keep": max(2, int(keep))} if keep else {})}


def _hyperparameters(rest: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in rest.items() if key not in OWNED and key not in SILENTLY_OURS}
    unset = {key: value for key, value in UNSET_MEANS.items() if key not in kept}
    if "warmup_steps" in kept:
        unset.pop("warmup_ratio", None)
    numbers = {"num_train_epochs", "learning_rate", "max_grad_norm", "warmup_ratio", "weight_decay"}
    both = {**unset, **kept}
    if isinstance(both.get("max_steps"), int) and both["max_steps"] < 1:  # transformers writes -1 for "by epochs"
        del both["max_steps"]
    return {key: float(v) if key in numbers and key in Hyperparameters.model_fields else v for key, v in both.items()}


def _names(value: Any) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts if str(part).strip() and str(part).strip() != "none"]
