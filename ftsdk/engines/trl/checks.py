"""Jobs that TRL's trainers cannot train, refused when they are planned. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftsdk.engines.base import Arguments
from ftsdk.engines.shared import check_passed_through, refuse_media
from ftsdk.engines.trl.arguments import known_arguments
from ftsdk.engines.trl.methods import OWNED, UNUSABLE
from ftsdk.errors import DataError, SpecError, UnsupportedError
from ftsdk.spec import Hyperparameters, JobSpec, Lora, Method, Oft
from ftsdk.spec.rewards import NEED_ANSWERS

if TYPE_CHECKING:
    from ftsdk.facts import Facts, SourceFacts


def refuse(spec: JobSpec, facts: Facts, algorithm: str) -> None:
    """Raise SpecError, DataError or UnsupportedError for a job that the algorithm cannot train."""
    stage, method, given = spec.method.stage, spec.method, spec.hyperparameters
    known = known_arguments(algorithm)
    check_passed_through(given.passed_through, known=known, owned=OWNED, trainer=f"TRL's {algorithm}")
    for name, reason in UNUSABLE.items():
        if getattr(given, name) not in (Hyperparameters.model_fields[name].default, False):
            raise SpecError(f"hyperparameters.{name} cannot be used with {stage}: {reason}.")
    if not method.rewards and not method.reward_model:
        other = " or method.reward_model: the URI of a finished rm job's model" if stage == "ppo" else ""
        raise SpecError(f"{stage} needs to know what an answer earns: set method.rewards, e.g. [math_answer]{other}.")
    if spec.dataset.streaming:
        raise UnsupportedError(f"dataset.streaming cannot be used with {stage}: prompts are drawn in a repeated order.")
    if isinstance(spec.tuning, Lora) and spec.tuning.plus_lr_ratio:
        raise UnsupportedError(f"tuning.plus_lr_ratio cannot be used with {stage}: TRL builds the optimizer itself.")
    refuse_media((*facts.train, *facts.eval), f"the method {stage}")
    for source in (*facts.train, *facts.eval):
        _refuse_source(source, method)
    if algorithm == "ppo":
        _refuse_ppo(spec)
    else:
        _refuse_sampling_arguments(spec)


def _refuse_sampling_arguments(spec: JobSpec) -> None:
    """TRL's own checks of its configuration (1.16)."""
    given, stage = spec.hyperparameters.passed_through, spec.method.stage
    adapters = isinstance(spec.tuning, Lora | Oft)
    if given.get("auto_find_batch_size"):
        raise SpecError(f"hyperparameters.auto_find_batch_size cannot be used with {stage}: batches hold whole groups.")
    if given.get("log_completions_hub_repo") and not given.get("log_completions"):
        raise SpecError("hyperparameters.log_completions_hub_repo needs log_completions: true.")
    if given.get("sync_ref_model") and (adapters or not spec.method.beta):
        raise SpecError("hyperparameters.sync_ref_model needs a reference model: set `tuning: full` and method.beta.")
    low, high = (given.get(f"vllm_importance_sampling_clip_{end}") for end in ("min", "max"))
    if isinstance(low, int | float) and isinstance(high, int | float) and low >= high:
        raise SpecError("hyperparameters.vllm_importance_sampling_clip_min must be below …_clip_max.")
    if isinstance(spec.tuning, Lora | Oft) and "lm_head" in spec.tuning.targets:
        raise UnsupportedError(
            f"tuning.targets lm_head cannot be used with {stage}: TRL reads that layer's own weight."
        )


def _refuse_source(source: SourceFacts, method: Method) -> None:
    needs = next((reward.name for reward in method.rewards if isinstance(reward, NEED_ANSWERS)), None)
    if needs and source.file and "answer" not in source.entry["columns"]:
        raise DataError(
            f"{source.address}: reward {needs} compares with a column `answer`, and there is none; "
            f"name it in dataset.columns, e.g. {{answer: solution}}, or use another reward."
        )


def _refuse_ppo(spec: JobSpec) -> None:
    resources = spec.resources
    if resources.spot:
        raise UnsupportedError(
            "resources.spot cannot be used with ppo: its trainer cannot resume from a checkpoint; "
            "use grpo, which can, or leave spot out."
        )
    if resources.num_nodes * resources.accelerators_per_node > 1:
        raise UnsupportedError("ppo trains in one process here: use grpo for several, or one accelerator.")
    if spec.dataset.eval or spec.dataset.eval_fraction:
        raise UnsupportedError("ppo evaluates nothing while it trains: leave out dataset.eval and eval_fraction.")


# --- batches
def fit_groups(spec: JobSpec, facts: Facts, arguments: Arguments) -> None:
    """Set the sampling arguments so that batches hold whole groups and a sampling ends with an optimizer step.

    Raises SpecError where the spec's batch sizes do not allow it, DataError for too few rows.
    """
    micro, accumulated = arguments["per_device_train_batch_size"], arguments["gradient_accumulation_steps"]
    processes = spec.resources.num_nodes * spec.resources.accelerators_per_node
    served, group = arguments.get("steps_per_generation", accumulated), arguments["num_generations"]
    sampled = micro * processes * served
    if sampled % group:
        raise SpecError(
            f"method.num_generations {group}: one sampling makes {sampled} answers (per_device_train_batch_size "
            f"{micro} × {served} micro-steps × {processes} processes), which is no multiple of it; change one of them."
        )
    lasting = served * arguments.get("num_iterations", 1)
    if lasting % accumulated and accumulated % lasting:
        raise SpecError(
            f"One sampling lasts {lasting} micro-steps (method.steps_per_generation × num_iterations) and an optimizer "
            f"step {accumulated} (gradient_accumulation_steps); one must be a multiple of the other."
        )
    _require_rows(facts, sampled // group, "prompts at once (answers of one sampling / num_generations)")
    if arguments["eval_strategy"] != "no":
        given = arguments.get("per_device_eval_batch_size")
        if given and given % group:
            raise SpecError(f"per_device_eval_batch_size {given} is no multiple of method.num_generations {group}.")
        arguments["per_device_eval_batch_size"] = given or group
    arguments["steps_per_generation"] = served


def fit_ppo_batch(facts: Facts, arguments: Arguments) -> None:
    """Set `total_episodes`, which PPO counts in place of steps. Raises DataError for too few rows."""
    batch = arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"]
    _require_rows(facts, batch, "rows (per_device_train_batch_size × gradient_accumulation_steps)")
    steps = arguments.pop("max_steps", None)
    if steps:
        arguments["total_episodes"] = steps * batch


def _require_rows(facts: Facts, needed: int, what: str) -> None:
    counts = [source.num_rows for source in facts.train]
    known = [count for count in counts if count is not None]
    if len(known) == len(counts) and sum(known) < needed:
        raise DataError(f"The data has {sum(known)} rows and the trainer takes {needed} {what}; add rows.")
