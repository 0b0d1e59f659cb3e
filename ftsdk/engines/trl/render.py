"""JobSpec -> TRL's configuration: GRPO and RLOO (1.16, the lock `rl`) and PPO (0.24, beside LLaMA-Factory). Pure.

`arguments` is passed to TRL's own config class; the rest tells `ftsdk.runtime.programs.trl` and `.ppo` what to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftsdk.engines import sharding, shared
from ftsdk.engines.base import Arguments, Layout, Rendered
from ftsdk.engines.trl.arguments import known_arguments
from ftsdk.engines.trl.capabilities import CAPABILITIES as CAPABILITIES
from ftsdk.engines.trl.checks import fit_groups, fit_ppo_batch, refuse
from ftsdk.engines.trl.methods import FIELD_NAMES, PPO_NAMES, STAGE_DEFAULTS
from ftsdk.errors import SpecError
from ftsdk.spec import Full, JobSpec, Lora, Method, Oft, QLora, Tuning
from ftsdk.spec.rewards import OwnFunction, Reward

if TYPE_CHECKING:
    from ftsdk.facts import Facts

NAME = "trl"
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
NO_RESUME = "ppo cannot resume from a checkpoint: an interrupted job starts at step 0 (grpo resumes)."


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """Render the TRL trainers' configuration. Raises SpecError, DataError and UnsupportedError."""
    algorithm = spec.method.stage if spec.method.stage in ("ppo", "rloo") else "grpo"
    refuse(spec, facts, algorithm)
    bf16, fp16 = shared.precision(spec, facts)
    arguments = {
        **STAGE_DEFAULTS[spec.method.stage],
        **_method(spec.method, algorithm),
        **_hyperparameters(spec, algorithm),
        "bf16": bf16,
        "fp16": fp16,
        **shared.tracking_arguments(spec),
        **sharding.arguments(spec.sharding),
        **spec.hyperparameters.passed_through,
    }
    if algorithm == "ppo":
        fit_ppo_batch(facts, arguments)
    else:
        fit_groups(spec, facts, arguments)
    sources = (*facts.train, *facts.eval)
    names = shared.dataset_names(sources)
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
        dataset_info={name: shared.entry(source, layout) for name, source in zip(names, sources, strict=True)},
        warnings=(NO_RESUME,) if algorithm == "ppo" else (),
    )


# --- arguments ----------------------------------------------------------------------------------------------
def _method(method: Method, algorithm: str) -> Arguments:
    names = PPO_NAMES if algorithm == "ppo" else FIELD_NAMES
    given = {trl: getattr(method, ours) for ours, trl in names.items() if getattr(method, ours) is not None}
    if algorithm != "ppo":
        given["reward_weights"] = [reward.weight for reward in method.rewards]
    if method.epsilon and method.stage in ("dapo", "gspo") and method.epsilon_high is None:
        given["epsilon_high"] = method.epsilon  # the paper's pair belongs together
    return given


def _hyperparameters(spec: JobSpec, algorithm: str) -> Arguments:
    given = spec.hyperparameters
    known = known_arguments(algorithm)
    straight = {name: getattr(given, name) for name in STRAIGHT if name in known}
    adapters = not isinstance(spec.tuning, Full)
    straight["learning_rate"] = given.learning_rate or (ADAPTER_LEARNING_RATE if adapters else FULL_LEARNING_RATE)
    # transformers 5 takes a share of the steps as `warmup_steps`
    ratio = WARMUP_RATIO if given.warmup_ratio is None else given.warmup_ratio
    straight["warmup_steps"] = ratio if given.warmup_steps is None else given.warmup_steps
    if algorithm == "ppo":
        straight["gradient_checkpointing"] = False  # its models are loaded by us, and sampling needs their cache
    else:
        straight["eval_strategy"] = _evaluation(spec)
    return straight


def _evaluation(spec: JobSpec) -> str:
    evaluates = bool(spec.dataset.eval or spec.dataset.eval_fraction)
    given = spec.hyperparameters.eval_strategy
    if given not in (None, "no") and not evaluates:
        raise SpecError("hyperparameters.eval_strategy needs held-out rows: set dataset.eval or dataset.eval_fraction.")
    return given or (("steps" if spec.hyperparameters.eval_steps else "epoch") if evaluates else "no")


# --- models and rewards -------------------------------------------------------------------------------------
def _model(spec: JobSpec, facts: Facts, layout: Layout, *, bf16: bool) -> Arguments:
    model = facts.model
    return {
        "model_name_or_path": layout.inside(model.base),
        "adapter_name_or_path": layout.inside(model.address) if model.base != model.address else None,
        "model_revision": spec.revision,
        # what is trained keeps 32 bits; a frozen base needs no more than it is computed in
        "dtype": "bfloat16" if bf16 and not isinstance(spec.tuning, Full) else "float32",
        "peft": _peft(spec.tuning),
        "quantization": _quantization(spec.tuning),
    }


def _peft(tuning: Tuning) -> Arguments | None:
    if not isinstance(tuning, Lora | Oft):
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


def _quantization(tuning: Tuning) -> Arguments | None:
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


def _reward(reward: Reward, facts: Facts, layout: Layout) -> Arguments:
    data: Arguments = reward.model_dump(mode="json")
    if isinstance(reward, OwnFunction):
        data["file"] = layout.inside(facts.reward_files[reward.path].path)
    return data


def _reward_model(facts: Facts, layout: Layout) -> Arguments | None:
    judge = facts.reward_model
    if judge is None:
        return None
    adapter = layout.inside(judge.address) if judge.base != judge.address else None
    return {"model_name_or_path": layout.inside(judge.base), "adapter_name_or_path": adapter}
