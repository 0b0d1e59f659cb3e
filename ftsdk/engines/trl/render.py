"""JobSpec -> TRL's configuration: GRPO and RLOO (1.16, the lock `rl`) and PPO (0.24, beside LLaMA-Factory). Pure.

`arguments` is what TRL's own config class gets; the rest tells `ftsdk.runtime.programs.trl` and `.ppo` what to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ftsdk.engines import sharding
from ftsdk.engines.base import Layout, Rendered
from ftsdk.engines.llamafactory.render import OWNED as OWNED_EVERYWHERE
from ftsdk.engines.llamafactory.render import PLAIN_KINDS, dataset_names, entry, precision, report_to
from ftsdk.engines.trl.arguments import known_arguments
from ftsdk.errors import DataError, SpecError, UnsupportedError, did_you_mean
from ftsdk.spec import Full, Hyperparameters, JobSpec, Lora, Method, Oft, QLora
from ftsdk.spec.rewards import NEED_ANSWERS, OwnFunction

if TYPE_CHECKING:
    from ftsdk.facts import Facts
    from ftsdk.facts.sources import SourceFacts

STAGE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # DeepSeekMath, arXiv:2402.03300; the KL term is off as in TRL and in the papers below, which saves a second model
    "grpo": {"loss_type": "grpo", "beta": 0.0, "epsilon": 0.2, "num_generations": 8},
    # DAPO, arXiv:2503.14476, 3.1 (clip-higher), 3.3 (token-level loss), 3.4 (overlong filtering), 4.1 (values)
    "dapo": {
        "loss_type": "dapo",
        "beta": 0.0,
        "epsilon": 0.2,
        "epsilon_high": 0.28,
        "mask_truncated_completions": True,
        "num_generations": 8,
    },
    # GSPO, arXiv:2507.18071, equation 5 (one ratio per sequence), 5.1 (values)
    "gspo": {
        "loss_type": "grpo",
        "importance_sampling_level": "sequence",
        "beta": 0.0,
        "epsilon": 3e-4,
        "epsilon_high": 4e-4,
        "num_generations": 8,
    },
    # Dr. GRPO, arXiv:2503.20783, 3.2: neither the answer's length nor the group's deviation divides
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0, "epsilon": 0.2, "num_generations": 8},
    # RLOO, arXiv:2402.14740 (4 answers a prompt in most of its runs); beta is TRL's
    "rloo": {"beta": 0.05, "epsilon": 0.2, "num_generations": 4},
    # PPO, arXiv:1707.06347; all values are TRL's
    "ppo": {
        "kl_coef": 0.05,
        "cliprange": 0.2,
        "num_ppo_epochs": 4,
        "response_length": 53,
        "temperature": 0.7,
        "stop_token": "eos",
        "num_sample_generations": 0,
    },
}
FIELD_NAMES: Mapping[str, str] = {
    "beta": "beta",
    "num_generations": "num_generations",
    "max_completion_length": "max_completion_length",
    "temperature": "temperature",
    "top_p": "top_p",
    "epsilon": "epsilon",
    "epsilon_high": "epsilon_high",
    "num_iterations": "num_iterations",
    "steps_per_generation": "steps_per_generation",
    "scale_rewards": "scale_rewards",
    "mask_truncated": "mask_truncated_completions",
}
PPO_NAMES: Mapping[str, str] = {
    "beta": "kl_coef",
    "max_completion_length": "response_length",
    "temperature": "temperature",
    "epsilon": "cliprange",
    "num_iterations": "num_ppo_epochs",
}
"""A method's field -> TRL's argument."""
OWNED: Mapping[str, str] = {
    **{name: reason for name, reason in OWNED_EVERYWHERE.items() if "lora" not in name},
    **{trl: f"set `method.{ours}`" for ours, trl in (*FIELD_NAMES.items(), *PPO_NAMES.items())},
    "reward_weights": "set `weight` in `method.rewards`",
    "use_vllm": "set `method.vllm`",
    "vllm_mode": "set `method.vllm`",
    "generation_batch_size": "set `method.steps_per_generation`",
    "total_episodes": "set `max_steps` or `num_train_epochs`",
    "remove_unused_columns": "rewards are given every column",
}
"""Arguments that a user may not set through `hyperparameters`, with the reason or the right place."""
UNUSABLE: Mapping[str, str] = {
    "packing": "every answer is sampled and scored by itself, so rows cannot be packed",
    "neat_packing": "every answer is sampled and scored by itself, so rows cannot be packed",
    "template": "prompts are written with the model's own chat template",
    "cutoff_len": "prompts are taken whole; limit the answers with method.max_completion_length, and shorten or "
    "drop long prompts with `ftsdk data`",
}
"""Hyperparameters of LLaMA-Factory's that mean nothing here."""
STRAIGHT = (
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "lr_scheduler_type",
    "weight_decay",
    "max_grad_norm",
    "optim",
    "gradient_checkpointing",
    "seed",
    "logging_steps",
    "eval_steps",
    "eval_on_start",
)
ADAPTER_LEARNING_RATE, FULL_LEARNING_RATE = 1e-5, 1e-6
"""Full: DeepSeekMath, DAPO and TRL's default. Adapters: ten times that ("LoRA Without Regret", Thinking Machines)."""
WARMUP_RATIO = 0.1
NO_RESUME = "ppo cannot go on from a checkpoint: an interrupted job begins anew (grpo goes on)."


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """What the TRL trainers are started with. Raises SpecError, DataError and UnsupportedError."""
    algorithm = spec.method.stage if spec.method.stage in ("ppo", "rloo") else "grpo"
    _refuse(spec, facts, algorithm)
    bf16, fp16 = precision(spec, facts)
    arguments = {
        **STAGE_DEFAULTS[spec.method.stage],
        **_method(spec.method, algorithm),
        **_hyperparameters(spec, algorithm),
        "bf16": bf16,
        "fp16": fp16,
        "report_to": report_to(spec),
        "run_name": spec.name,
        **sharding.arguments(spec.sharding),
        **spec.hyperparameters.passed_through,
    }
    (_ppo_batch if algorithm == "ppo" else _groups)(spec, facts, arguments)
    sources = (*facts.train, *facts.eval)
    names = dataset_names(sources)
    config = {
        "algorithm": algorithm,
        **_model(spec, facts, layout, bf16=bf16),
        "rewards": [_reward(reward, facts, layout) for reward in spec.method.rewards],
        "reward_model": _reward_model(facts, layout),
        "vllm": (spec.method.vllm or "auto") if algorithm != "ppo" else None,
        "dataset": names[: len(facts.train)],
        "eval_dataset": names[len(facts.train) :],
        "eval_fraction": spec.dataset.eval_fraction,
        "max_samples": spec.dataset.max_samples,
        "arguments": {name: value for name, value in arguments.items() if value is not None},
    }
    return Rendered(
        trainer="ppo" if algorithm == "ppo" else "trl",
        config={name: value for name, value in config.items() if value is not None},
        dataset_info={name: entry(source, layout) for name, source in zip(names, sources, strict=True)},
        warnings=(NO_RESUME,) if algorithm == "ppo" else (),
    )


def check_passed_through(arguments: Mapping[str, Any], algorithm: str) -> None:
    """Refuse arguments that TRL does not know or that ftsdk owns. Raises SpecError."""
    known = known_arguments(algorithm)
    for name, value in arguments.items():
        if name in OWNED:
            raise SpecError(f"hyperparameters.{name} is not yours to set: {OWNED[name]}.")
        if name not in known:
            hint = did_you_mean(name, [*Hyperparameters.model_fields, *(k for k in known if k not in OWNED)])
            raise SpecError(f"hyperparameters.{name}: neither ftsdk nor TRL's {algorithm} knows this name{hint}.")
        kinds = PLAIN_KINDS.get(known[name])
        if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise SpecError(f"hyperparameters.{name}: should be {known[name]}, not {value!r}.")


# --- what cannot be done ------------------------------------------------------------------------------------
def _refuse(spec: JobSpec, facts: Facts, algorithm: str) -> None:
    stage, method, given = spec.method.stage, spec.method, spec.hyperparameters
    check_passed_through(given.passed_through, algorithm)
    for name, reason in UNUSABLE.items():
        if getattr(given, name) not in (Hyperparameters.model_fields[name].default, False):
            raise SpecError(f"hyperparameters.{name} cannot be used with {stage}: {reason}.")
    if not method.rewards and not method.reward_model:
        other = " or method.reward_model: the URI of a finished rm job's model" if stage == "ppo" else ""
        raise SpecError(f"{stage} needs to know what an answer earns: set method.rewards, e.g. [math_answer]{other}.")
    if spec.dataset.streaming:
        raise UnsupportedError(f"dataset.streaming cannot be used with {stage}: prompts are drawn in a repeated order.")
    if not isinstance(spec.tuning, Full | Lora | Oft):
        raise UnsupportedError(f"tuning {spec.tuning.type} cannot be used with {stage}: use lora or full.")
    if isinstance(spec.tuning, Lora) and spec.tuning.plus_lr_ratio:
        raise UnsupportedError(f"tuning.plus_lr_ratio cannot be used with {stage}: TRL builds the optimizer itself.")
    for source in (*facts.train, *facts.eval):
        _refuse_source(source, method)
    if algorithm == "ppo":
        _refuse_ppo(spec)


def _refuse_source(source: SourceFacts, method: Method) -> None:
    if "ms_hub_url" in source.entry:
        raise UnsupportedError(f"dataset {source.address}: {method.stage} reads files and hf://; download it first.")
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
            "resources.spot cannot be used with ppo: its trainer cannot go on from a checkpoint; "
            "use grpo, which can, or leave spot out."
        )
    if resources.num_nodes * resources.accelerators_per_node > 1:
        raise UnsupportedError("ppo trains in one process here: use grpo for several, or one accelerator.")
    if spec.sharding.type != "ddp":
        raise UnsupportedError(
            f"sharding {spec.sharding.type} cannot be used with ppo: its processes are one; use grpo."
        )
    if not isinstance(spec.tuning, Full | Lora) or isinstance(spec.tuning, QLora):
        raise UnsupportedError(f"tuning {spec.tuning.type} cannot be used with ppo: use lora or full.")
    if spec.dataset.eval or spec.dataset.eval_fraction:
        raise UnsupportedError("ppo evaluates nothing while it trains: leave out dataset.eval and eval_fraction.")


# --- arguments ----------------------------------------------------------------------------------------------
def _method(method: Method, algorithm: str) -> dict[str, Any]:
    names = PPO_NAMES if algorithm == "ppo" else FIELD_NAMES
    given = {trl: getattr(method, ours) for ours, trl in names.items() if getattr(method, ours) is not None}
    if algorithm != "ppo":
        given["reward_weights"] = [reward.weight for reward in method.rewards]
    if method.epsilon and method.stage in ("dapo", "gspo") and method.epsilon_high is None:
        given["epsilon_high"] = method.epsilon  # the paper's pair belongs together
    return given


def _hyperparameters(spec: JobSpec, algorithm: str) -> dict[str, Any]:
    given = spec.hyperparameters
    known = known_arguments(algorithm)
    straight = {name: getattr(given, name) for name in STRAIGHT if name in known}
    adapters = not isinstance(spec.tuning, Full)
    straight["learning_rate"] = given.learning_rate or (ADAPTER_LEARNING_RATE if adapters else FULL_LEARNING_RATE)
    # transformers 5 takes a share of the steps as `warmup_steps`
    straight["warmup_steps"] = given.warmup_steps if given.warmup_steps is not None else _ratio(given)
    if algorithm == "ppo":
        straight["gradient_checkpointing"] = False  # its models are loaded by us, and sampling needs their cache
    else:
        straight["eval_strategy"] = _evaluation(spec)
    return straight


def _ratio(given: Hyperparameters) -> float:
    return WARMUP_RATIO if given.warmup_ratio is None else given.warmup_ratio


def _evaluation(spec: JobSpec) -> str:
    evaluates = bool(spec.dataset.eval or spec.dataset.eval_fraction)
    given = spec.hyperparameters.eval_strategy
    if given not in (None, "no") and not evaluates:
        raise SpecError("hyperparameters.eval_strategy needs held-out rows: set dataset.eval or dataset.eval_fraction.")
    return given or ("epoch" if evaluates else "no")


def _groups(spec: JobSpec, facts: Facts, arguments: dict[str, Any]) -> None:
    """Batches hold whole groups, and a sampling ends with an optimizer step. Raises SpecError."""
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
    _enough_rows(facts, sampled // group, "prompts at once (answers of one sampling / num_generations)")
    if arguments["eval_strategy"] != "no":
        arguments["per_device_eval_batch_size"] = _whole_groups(arguments, group)
    arguments["steps_per_generation"] = served


def _whole_groups(arguments: Mapping[str, Any], group: int) -> int:
    given = arguments.get("per_device_eval_batch_size")
    if given and given % group:
        raise SpecError(f"per_device_eval_batch_size {given} is no multiple of method.num_generations {group}.")
    return given or group


def _ppo_batch(_spec: JobSpec, facts: Facts, arguments: dict[str, Any]) -> None:
    batch = arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"]
    _enough_rows(facts, batch, "rows (per_device_train_batch_size × gradient_accumulation_steps)")
    steps = arguments.pop("max_steps", None)
    if steps:
        arguments["total_episodes"] = steps * batch


def _enough_rows(facts: Facts, needed: int, what: str) -> None:
    counts = [source.num_rows for source in facts.train]
    known = [count for count in counts if count is not None]
    if len(known) == len(counts) and sum(known) < needed:
        raise DataError(f"The data has {sum(known)} rows and the trainer takes {needed} {what}; add rows.")


# --- models and rewards -------------------------------------------------------------------------------------
def _model(spec: JobSpec, facts: Facts, layout: Layout, *, bf16: bool) -> dict[str, Any]:
    model = facts.model
    return {
        "model_name_or_path": layout.inside(model.base) if model.kind == "path" else model.base,
        "adapter_name_or_path": layout.inside(model.address) if model.base != model.address else None,
        "model_revision": spec.revision,
        # what is trained keeps 32 bits; a frozen base needs no more than it is computed in
        "dtype": "bfloat16" if bf16 and not isinstance(spec.tuning, Full) else "float32",
        "peft": _peft(spec.tuning),
        "quantization": _quantization(spec.tuning),
    }


def _peft(tuning: Full | Lora | Oft | Any) -> dict[str, Any] | None:
    if isinstance(tuning, Full):
        return None
    targets = "all-linear" if "all" in tuning.targets else list(tuning.targets)
    if isinstance(tuning, Oft):
        return {"kind": "oft", "oft_block_size": tuning.block_size, "target_modules": targets}
    return {
        "kind": "lora",
        "r": tuning.rank,
        "lora_alpha": tuning.alpha or 2 * tuning.rank,
        "lora_dropout": tuning.dropout,
        "target_modules": targets,
        "use_dora": tuning.dora,
        "use_rslora": tuning.rslora,
        "init_lora_weights": "pissa" if tuning.pissa else True,
    }


def _quantization(tuning: Any) -> dict[str, Any] | None:
    if not isinstance(tuning, QLora):
        return None
    if tuning.bits == 8:
        return {"load_in_8bit": True}
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": tuning.double_quantization,
        "bnb_4bit_compute_dtype": "bfloat16",
    }


def _reward(reward: Any, facts: Facts, layout: Layout) -> dict[str, Any]:
    data: dict[str, Any] = reward.model_dump(mode="json")
    if isinstance(reward, OwnFunction):
        data["file"] = layout.inside(facts.reward_files[reward.path].path)
    return data


def _reward_model(facts: Facts, layout: Layout) -> dict[str, Any] | None:
    judge = facts.reward_model
    if judge is None:
        return None
    adapter = layout.inside(judge.address) if judge.base != judge.address else None
    return {"model_name_or_path": layout.inside(judge.base), "adapter_name_or_path": adapter}
