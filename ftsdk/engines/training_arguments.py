"""transformers' own checks of training arguments, refused when a job is planned. All engines train with its Trainer.

Sources: `TrainingArguments.__post_init__`, `Trainer.__init__` and `EarlyStoppingCallback` of transformers 5.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftsdk.engines.shared import lacks_bf16
from ftsdk.errors import SpecError
from ftsdk.spec import JobSpec, peft_family
from ftsdk.spec.method import ONLINE

FOLLOW_EVALUATIONS = ("reduce_lr_on_plateau", "greedy")
"""Schedules that lower the learning rate when an evaluation is no better."""
UNWISE_LEARNING_RATE = 1e-2
"""Above the highest peak rate in published LoRA and full recipes (about 2e-3) by a factor of five."""
UNWISE_RANK = 1024
"""Above the highest rank in published LoRA studies (512, "LoRA Without Regret", Thinking Machines) by two."""


def evaluates(spec: JobSpec) -> bool:
    """Whether the spec has held-out rows that are evaluated."""
    data = spec.dataset
    return bool(data.eval or data.eval_fraction or data.eval_rows) and spec.hyperparameters.eval_strategy != "no"


def refuse(spec: JobSpec) -> None:
    """Raises SpecError for arguments that the trainer refuses, or that have no effect where they stand."""
    given, extra = spec.hyperparameters, spec.hyperparameters.passed_through
    if given.bf16 and given.fp16:
        raise SpecError("hyperparameters: bf16 and fp16 exclude each other; set one of them.")
    if extra.get("bf16_full_eval") and extra.get("fp16_full_eval"):
        raise SpecError("hyperparameters: bf16_full_eval and fp16_full_eval exclude each other; set one of them.")
    if given.eval_steps and given.eval_strategy in ("no", "epoch"):
        raise SpecError(
            f"hyperparameters.eval_steps has no effect with eval_strategy {given.eval_strategy}: set eval_strategy to "
            f"steps, or leave eval_steps out."
        )
    _refuse_stopping(spec)
    _refuse_best_model(spec)
    _refuse_schedule(spec)
    _refuse_passed_through(extra)


def _refuse_stopping(spec: JobSpec) -> None:
    extra = spec.hyperparameters.passed_through
    if not extra.get("early_stopping_steps"):
        return
    lacking = []
    if not evaluates(spec):
        lacking.append("held-out rows (dataset.eval or dataset.eval_fraction)")
    if not (extra.get("load_best_model_at_end") or extra.get("metric_for_best_model")):
        lacking.append("load_best_model_at_end: true (or metric_for_best_model, and the last model is kept)")
    if lacking:
        raise SpecError(
            f"hyperparameters.early_stopping_steps needs {' and '.join(lacking)}: it stops when the best value so far "
            f"of eval_loss, or of metric_for_best_model, is not beaten."
        )


def _refuse_best_model(spec: JobSpec) -> None:
    extra = spec.hyperparameters.passed_through
    if extra.get("load_best_model_at_end") and not evaluates(spec):
        raise SpecError(
            "hyperparameters.load_best_model_at_end compares evaluations and there are none: set dataset.eval or "
            "dataset.eval_fraction, or leave it out."
        )
    if extra.get("metric_for_best_model") and not evaluates(spec):
        raise SpecError(
            "hyperparameters.metric_for_best_model is measured on held-out rows and there are none: set dataset.eval "
            "or dataset.eval_fraction, or leave it out."
        )


def _refuse_schedule(spec: JobSpec) -> None:
    given, extra = spec.hyperparameters, spec.hyperparameters.passed_through
    schedule, settings = given.lr_scheduler_type, extra.get("lr_scheduler_kwargs")
    if schedule in FOLLOW_EVALUATIONS and not evaluates(spec):
        raise SpecError(
            f"hyperparameters.lr_scheduler_type {schedule} follows evaluations and there are none: set dataset.eval or "
            f"dataset.eval_fraction, or choose another schedule."
        )
    decays = isinstance(settings, dict) and "num_decay_steps" in settings
    if schedule == "warmup_stable_decay" and spec.method.stage in ONLINE and not decays:  # LLaMA-Factory fills it in
        raise SpecError(
            "hyperparameters.lr_scheduler_type warmup_stable_decay needs the length of its decay: set "
            "lr_scheduler_kwargs: {num_decay_steps: 100}."
        )


def _refuse_passed_through(extra: dict[str, object]) -> None:
    workers, emptied = extra.get("dataloader_num_workers"), extra.get("torch_empty_cache_steps")
    if extra.get("dataloader_prefetch_factor") is not None and not workers:
        raise SpecError("hyperparameters.dataloader_prefetch_factor needs dataloader_num_workers of 1 or more.")
    if isinstance(emptied, int) and emptied < 1:
        raise SpecError(f"hyperparameters.torch_empty_cache_steps must be 1 or more (got {emptied}).")
    sharding, settings = str(extra.get("fsdp") or "").split(), extra.get("fsdp_config") or {}
    if sharding == ["offload"] or {"full_shard", "shard_grad_op"} <= set(sharding):
        raise SpecError(
            "hyperparameters.fsdp takes one of full_shard and shard_grad_op, and offload beside one of them: set "
            "`sharding: {type: fsdp, offload: true}` instead."
        )
    if isinstance(settings, dict) and settings.get("min_num_params") and settings.get("transformer_layer_cls_to_wrap"):
        raise SpecError(
            "hyperparameters.fsdp_config: min_num_params and transformer_layer_cls_to_wrap: keep one of them."
        )


def notes(spec: JobSpec) -> Iterator[str]:
    """A sentence for each value that the trainer takes and that no published recipe has, or that another overrides."""
    given, rank = spec.hyperparameters, getattr(spec.tuning, "rank", 0)
    rate = given.learning_rate
    if rate and rate > UNWISE_LEARNING_RATE and not isinstance(spec.tuning, peft_family.KINDS):  # prompt tuning: 0.3
        yield f"learning_rate {rate:g} is far above published recipes (1e-6 to 2e-3): the loss may become NaN."
    if rank > UNWISE_RANK:
        yield f"tuning.rank {rank} is far above published recipes (4 to 512): an adapter may be larger than its layer."
    card = spec.resources.accelerator
    if card and given.bf16 and lacks_bf16(card):
        yield f"{card} computes bfloat16 in software, which is slow or refused: set fp16: true, or leave both out."
    if given.max_steps and "num_train_epochs" in given.model_fields_set:
        yield f"max_steps {given.max_steps} overrides num_train_epochs {given.num_train_epochs}: keep one of them."
    if given.packing is False and given.neat_packing:
        yield "neat_packing: true packs rows, and packing: false is overridden by it: leave one of them out."
