"""LLaMA-Factory's configuration -> a spec's data: the inverse of its engine, so that YAML files run unchanged. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ftsdk.engines.base import Arguments
from ftsdk.engines.llamafactory.arguments import known_arguments
from ftsdk.engines.trl import arguments
from ftsdk.engines.trl.methods import UNUSABLE
from ftsdk.errors import SpecError, UnsupportedError, did_you_mean
from ftsdk.recipes.llamafactory_tasks import as_training, merge_spec, task_of
from ftsdk.spec import Freeze, Full, Hyperparameters, Oft, QLora
from ftsdk.spec.base import Part
from ftsdk.spec.job import NormalizedSpec
from ftsdk.spec.loading import normalized
from ftsdk.spec.method import FIELD_STAGES
from ftsdk.spec.names import GONE, LLAMAFACTORY, LOSSES, OTHERS, REPLACED, REWRITTEN, is_foreign, place_of

MARKS = frozenset({"model_name_or_path", "finetuning_type", "do_train"})
"""A YAML with one of these at the top is LLaMA-Factory's, not ours."""
V1_MARKS = frozenset(
    {"train_dataset", "dist_config", "peft_config", "kernel_config", "model_class", "micro_batch_size"}
)
MEGATRON_MARKS = frozenset(
    {"tensor_model_parallel_size", "pipeline_model_parallel_size", "expert_model_parallel_size", "sequence_parallel"}
)

UNSET_MEANS: Mapping[str, object] = {
    "learning_rate": 5e-5,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "lr_scheduler_type": "linear",
    "warmup_ratio": 0.0,
    "bf16": False,
    "fp16": False,
}
"""transformers' defaults where those of a spec differ: an unchanged file keeps its meaning."""

TUNINGS: Mapping[str, type[Part]] = {"full": Full, "freeze": Freeze, "lora": QLora, "oft": Oft}
PPO_NAMES: Mapping[str, str] = {
    "max_new_tokens": "max_completion_length", "temperature": "temperature", "ppo_epochs": "num_iterations",
}  # fmt: skip
"""LLaMA-Factory's name for PPO -> the method's."""
NO_NOTE = frozenset({"do_train", "plot_loss"})
"""Arguments without effect: ftsdk always trains, and `ftsdk metrics --plot` draws the loss."""
SERVED_TRACKERS = frozenset({"wandb", "tensorboard", "mlflow", "swanlab", "trackio", "all"})
"""Values of `report_to` that are taken over; `all` is the trackers that ftsdk's image has."""
NAMES = ("stage", "finetuning_type", "pref_loss", "model_name_or_path", "dataset_dir", "save_strategy", "project")
NUMBERS = ("val_size", "save_steps", "warmup_steps", "max_steps")
LISTS = ("dataset", "eval_dataset", "report_to", "adapter_name_or_path")
"""Arguments that decide what a file trains, by what they must be; a list may be one text with commas."""


def is_llamafactory(data: Mapping[str, object]) -> bool:
    """Whether a YAML has top-level keys of LLaMA-Factory, for training or another task."""
    return ("model" not in data and not MARKS.isdisjoint(data)) or _other_kind(data) is not None


def read(data: Mapping[str, object]) -> tuple[NormalizedSpec, list[str]]:
    """The spec's data and a note for every key that ftsdk replaces or that has another name now.

    Files that merge, evaluate or predict become the programs that do it. Raises SpecError for unknown keys,
    UnsupportedError for a file that is for another engine or for a chat.
    """
    other = _other_kind(data)
    if other:
        raise UnsupportedError(other)
    task = task_of(data)
    if task == "merge":
        return merge_spec({key: value for key, value in data.items() if value is not None})
    program: Arguments = {}
    if task in ("predict", "evaluate"):
        data, program = as_training(data, task)
    given = {key: value for key, value in data.items() if value is not None and key not in NO_NOTE}
    _refuse_unknown(given)
    _refuse_wrong_kinds(given)
    if "model_name_or_path" not in given:
        raise SpecError("'model_name_or_path' is missing.")
    notes = [*_drop_what_is_ignored(given), *_drop_what_ppo_lacks(given)]
    spec: Arguments = {
        "method": {ours: given.pop(theirs) for theirs, ours in PPO_NAMES.items() if theirs in given and _is_ppo(given)},
        "model": str(given.pop("adapter_name_or_path", None) or given.pop("model_name_or_path", "")),
        "dataset": _dataset(given),
        "tracking": _tracking(given),
        "checkpoint": _checkpoint(given),
        "hyperparameters": _hyperparameters(given),
        **({"program": program} if program else {}),
    }
    given.pop("model_name_or_path", None)
    spec, move_notes = normalized({**spec, **given})
    kept_notes = [note for note in move_notes if note.partition(" ")[0] not in LLAMAFACTORY]
    return NormalizedSpec({key: value for key, value in spec.items() if value not in (None, {})}), [*notes, *kept_notes]


def _other_kind(data: Mapping[str, object]) -> str | None:
    """Why a file is no spec of a job; None if it is one, or if the file is not LLaMA-Factory's."""
    keys = set(data)
    if keys & V1_MARKS and "dataset" not in keys:
        return (
            "this is for LLaMA-Factory's experimental v1 engine (USE_V1=1), which ftsdk does not drive; "
            "write it with the arguments of `llamafactory-cli train`, as in examples/train_lora."
        )
    if MARKS.isdisjoint(keys):
        if {"compute_environment", "distributed_type"} <= keys:
            return (
                "this is a configuration of accelerate, not a training; set fsdp or deepspeed in the training's YAML."
            )
        return None
    if keys & MEGATRON_MARKS:
        return "this is for the Megatron engine (USE_MCA=1), which ftsdk does not drive; use deepspeed or fsdp instead."
    task = task_of(data)
    if task == "benchmark":
        return "task: benchmarks such as MMLU are not run by `ftsdk evaluate`; evaluate with llamafactory-cli."
    if task == "chat":
        return "this file is for talking with a model: `ftsdk chat FILE` or `ftsdk serve FILE` takes it as it is."
    return None


def _refuse_unknown(given: Arguments) -> None:
    known = known_arguments()
    for key in given:
        if key not in known and not is_foreign(key):
            names = [*known, *OTHERS, *GONE, *REWRITTEN]
            raise SpecError(f"unknown key '{key}': LLaMA-Factory has no such argument{did_you_mean(key, names)}.")


def _refuse_wrong_kinds(given: Arguments) -> None:
    """Check the arguments that decide what a file trains; everything else is checked as part of the spec."""
    for name in NAMES:
        if name in given and not isinstance(given[name], str):
            raise SpecError(f"{name}: write a name, not {given[name]!r:.60}.")
    for name in NUMBERS:
        if name in given and not (isinstance(given[name], int | float) and not isinstance(given[name], bool)):
            raise SpecError(f"{name}: write a number, not {given[name]!r:.60}.")
    for name in LISTS:
        values = given.get(name, ())
        if not isinstance(values, str) and not (
            isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)
        ):
            raise SpecError(f"{name}: write names, not {values!r:.60}.")


def _drop_what_is_ignored(given: Arguments) -> Iterator[str]:
    """Remove arguments that LLaMA-Factory ignores: those of another tuning or method, and flags that are off."""
    kind = given.get("finetuning_type", "lora")
    if given.get("quantization_bit") and kind in ("full", "freeze"):
        raise SpecError(f"quantization_bit: quantised weights cannot be trained with finetuning_type {kind}; use lora.")
    off = {name for name in REPLACED if given.get(name) is False}
    if not given.get("quantization_bit"):
        off.add("double_quantization")
    if given.get("quantization_method") in ("bnb", "bitsandbytes"):  # the default; until 0.9.1 the longer name
        off.add("quantization_method")
    stage = LOSSES.get(given.get("pref_loss", ""), "dpo") if given.get("stage") == "dpo" else given.get("stage", "sft")
    for name in list(given):
        if name in off or _is_of_another_tuning(name, kind) or _is_of_another_method(name, stage):
            del given[name]
    if given.get("eval_dataset") and given.pop("val_size", None):
        yield "val_size is ignored: eval_dataset holds rows out already."
    if "," in str(given.get("adapter_name_or_path", "")):
        raise UnsupportedError("adapter_name_or_path names several adapters: merge them into the base model first.")
    if "adapter_name_or_path" in given:
        yield f"model_name_or_path is left to the adapter {given['adapter_name_or_path']}, which names its base model."


def _is_ppo(given: Arguments) -> bool:
    return given.get("stage") == "ppo"


def _drop_what_ppo_lacks(given: Arguments) -> Iterator[str]:
    """Remove arguments that TRL, which trains PPO, does not have. (LLaMA-Factory's PPO fails with its pinned TRL.)"""
    if not _is_ppo(given):
        return
    if given.pop("reward_model_type", None) == "api":
        raise UnsupportedError(
            "reward_model_type api: ftsdk requests no rewards from a server; give a reward model's folder or job as "
            "reward_model, or write a function and name it in method.rewards as FILE.py:FUNCTION."
        )
    theirs = {*arguments.known_arguments("ppo"), *PPO_NAMES, *UNSET_MEANS, *Hyperparameters.model_fields}
    lost = [name for name in given if name in UNUSABLE or not (name in theirs or is_foreign(name))]
    for name in lost:
        del given[name]
    if lost:
        yield f"ppo is trained by TRL, with the model's own chat template and whole prompts, without {', '.join(lost)}."


def _is_of_another_tuning(name: str, kind: str) -> bool:
    place = place_of(name)
    if place is None or not place.path.startswith("tuning.") or kind not in TUNINGS:
        return False
    own = {"lora_target": "lora", "oft_target": "oft"}.get(name, kind)
    return own != kind or place.path.removeprefix("tuning.") not in TUNINGS[kind].model_fields


def _is_of_another_method(name: str, stage: str) -> bool:
    place = place_of(name)
    field = place.path.removeprefix("method.") if place else ""
    return field in FIELD_STAGES and stage not in FIELD_STAGES[field]


def _dataset(given: Arguments) -> Arguments:
    train, directory = _names(given.pop("dataset", ())), given.pop("dataset_dir", "data")
    if not train:
        raise SpecError("'dataset' is missing: name at least one dataset of dataset_info.json.")
    held_out = _names(given.pop("eval_dataset", ()))
    size = given.pop("val_size", None) or None
    share: Arguments = {}
    if size is not None and not held_out:
        share = {"eval_fraction": float(size)} if size < 1 else {"eval_rows": int(size)}
    if directory == "ONLINE":
        return {"train": [f"hf://{name}" for name in train], "eval": [f"hf://{name}" for name in held_out], **share}
    return {"train": train, "eval": held_out, "directory": str(directory), **share}


def _tracking(given: Arguments) -> Arguments:
    trackers = set(_names(given.pop("report_to", ())))
    if unserved := sorted(trackers - SERVED_TRACKERS):
        hint = did_you_mean(unserved[0], SERVED_TRACKERS)
        raise UnsupportedError(
            f"report_to {', '.join(unserved)}: ftsdk reports to {', '.join(sorted(SERVED_TRACKERS - {'all'}))}{hint}; "
            f"leave it out and read the metrics with `ftsdk metrics`."
        )
    tracking: Arguments = {"tensorboard": bool(trackers & {"tensorboard", "all"})}
    if trackers & {"wandb", "all"}:
        tracking["wandb"] = {"project": given.get("project")}
    if "trackio" in trackers:
        tracking["trackio"] = {"project": given.get("project"), "space": given.pop("trackio_space_id", None)}
    return tracking | {name: {} for name in ("mlflow", "swanlab") if name in trackers}


def _checkpoint(given: Arguments) -> Arguments:
    steps = given.pop("save_steps", None)
    if given.get("save_strategy") == "steps":
        del given["save_strategy"]
    return {"every_steps": steps} if steps else {}


def _hyperparameters(given: Arguments) -> Arguments:
    """Arguments without a field elsewhere in a spec, with transformers' defaults; the others stay in `given`."""
    kept = {key: given.pop(key) for key in list(given) if not is_foreign(key)}
    named = {place.path.rpartition(".")[2] for key in given if (place := OTHERS.get(key))}
    unset = {key: value for key, value in UNSET_MEANS.items() if key not in kept and key not in named}
    if 0 < kept.get("warmup_steps", 0) < 1 and not kept.get(
        "warmup_ratio"
    ):  # transformers 5 takes such a number for the ratio
        kept["warmup_ratio"] = kept.pop("warmup_steps")
    if "warmup_steps" in kept:
        unset.pop("warmup_ratio", None)
    numbers = {"num_train_epochs", "learning_rate", "max_grad_norm", "warmup_ratio", "weight_decay"}
    both = {**unset, **kept}
    if isinstance(both.get("max_steps"), int) and both["max_steps"] < 1:  # transformers writes -1 for "by epochs"
        del both["max_steps"]
    return {key: _float(key, value) if key in numbers else value for key, value in both.items()}


def _float(name: str, value: Any) -> object:
    try:
        return value if value == "auto" else float(value)
    except (TypeError, ValueError):
        raise SpecError(f"{name}: {value!r} is no number.") from None


def _names(value: Any) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts if str(part).strip() and str(part).strip() != "none"]
