"""Defaults of each method that TRL trains, with their papers, and TRL's names for the fields of a spec's method."""

from __future__ import annotations

from collections.abc import Mapping

from ftsdk.engines.shared import OWNED as OWNED_EVERYWHERE

STAGE_DEFAULTS: Mapping[str, Mapping[str, object]] = {
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
    # CISPO: MiniMax-M1, arXiv:2506.13585, 3.1; the upper limit of the weights is ScaleRL's, arXiv:2510.13786
    "cispo": {"loss_type": "cispo", "beta": 0.0, "epsilon_high": 5.0, "num_generations": 8},
    # SAPO, arXiv:2511.20347: a smooth gate in place of the clip; the temperatures are TRL's
    "sapo": {
        "loss_type": "sapo",
        "beta": 0.0,
        "sapo_temperature_pos": 1.0,
        "sapo_temperature_neg": 1.05,
        "num_generations": 8,
    },
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
"""Hyperparameters of LLaMA-Factory that have no meaning here, with the reason."""
