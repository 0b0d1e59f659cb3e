"""Method: what the training optimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field, model_validator

from ftsdk.spec.base import Part
from ftsdk.spec.rewards import Reward, expanded

Stage = Literal[
    "pt", "sft", "rm", "ppo", "dpo", "ipo", "kto", "orpo", "simpo", "grpo", "dapo", "gspo", "dr_grpo", "cispo",
    "sapo", "rloo",
]  # fmt: skip
STAGES: tuple[str, ...] = get_args(Stage)

PREFERENCE = ("dpo", "ipo", "kto", "orpo", "simpo")
GROUPED = ("grpo", "dapo", "gspo", "dr_grpo", "cispo", "sapo", "rloo")
"""Reinforcement methods that compare several answers to one prompt."""
CLIPPED_DOWN = ("grpo", "dapo", "gspo", "dr_grpo", "rloo")
"""Those of them that clip the policy ratio below too; cispo does above only, sapo not at all."""
ONLINE = ("ppo", *GROUPED)
"""Methods that sample answers while they train."""

FIELD_STAGES: Mapping[str, tuple[str, ...]] = {
    "beta": (*PREFERENCE, *ONLINE),
    "label_smoothing": ("dpo",),
    "gamma": ("simpo",),
    "sft_weight": ("dpo", "ipo", "orpo", "simpo", "kto"),
    "reward_model": ("ppo",),
    "rewards": ONLINE,
    "max_completion_length": ONLINE,
    "temperature": ONLINE,
    "epsilon": ("ppo", *CLIPPED_DOWN),
    "num_iterations": ONLINE,
    "num_generations": GROUPED,
    "epsilon_high": (*CLIPPED_DOWN, "cispo"),
    "steps_per_generation": GROUPED,
    "top_p": GROUPED,
    "scale_rewards": GROUPED[:-1],
    "mask_truncated": GROUPED,
    "vllm": GROUPED,
}
"""Field -> the methods that it means something to; elsewhere it is refused."""


class Method(Part):
    """The training objective. In YAML a bare name (`method: dpo`) is the same as `{stage: dpo}`."""

    stage: Stage = "sft"
    """pt (continued pre-training), sft, rm (reward model), a preference method (dpo, ipo, kto, orpo, simpo)
    or a reinforcement method (ppo, grpo, dapo, gspo, dr_grpo, cispo, sapo, rloo)."""
    beta: float | None = Field(default=None, ge=0)
    """Strength of the pull towards the reference model. Preference methods: the trainer's default is 0.1.
    Reinforcement methods: coefficient of the KL term, 0 in the grpo family, 0.05 in ppo and rloo."""
    label_smoothing: float | None = Field(default=None, ge=0, lt=0.5)
    """Share of preference labels assumed to be flipped (dpo)."""
    gamma: float | None = Field(default=None, ge=0)
    """Target reward margin (simpo)."""
    sft_weight: float | None = Field(default=None, ge=0)
    """Weight of an added SFT loss on the chosen answer (dpo family)."""
    reward_model: str | None = None
    """Model that scores answers (ppo): a folder, or a finished `rm` job's model URI."""
    rewards: tuple[Reward, ...] = Field(default=(), strict=False)
    """What an answer earns (reinforcement methods): built-ins by name or with parameters, e.g.
    `[math_answer, {name: format, weight: 0.2}]`, and functions of your own, e.g. `reward.py:score`."""
    num_generations: int | None = Field(default=None, ge=2)
    """Answers sampled for each prompt and compared with each other (grpo family: 8, rloo: 4)."""
    max_completion_length: int | None = Field(default=None, ge=1)
    """Tokens of a sampled answer; 512 if left out, 53 in ppo (TRL's defaults)."""
    temperature: float | None = Field(default=None, gt=0)
    """Sampling temperature; 1.0 if left out, 0.7 in ppo (TRL's defaults)."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Sample from the most likely tokens that make up this probability; 1.0 if left out."""
    epsilon: float | None = Field(default=None, gt=0)
    """How far the policy ratio may move before it is clipped; 0.2 (gspo: 3e-4)."""
    epsilon_high: float | None = Field(default=None, gt=0)
    """Another limit upwards; the same as `epsilon` if left out (dapo: 0.28, gspo: 4e-4, cispo: 5)."""
    num_iterations: int | None = Field(default=None, ge=1)
    """Times that each batch of answers is trained on; 1 (ppo: 4)."""
    steps_per_generation: int | None = Field(default=None, ge=1)
    """Micro-steps that one sampling serves; gradient_accumulation_steps if left out."""
    scale_rewards: Literal["group", "batch", "none"] | None = None
    """What the advantages are divided by: the standard deviation of the group, of the batch, or nothing (dr_grpo)."""
    mask_truncated: bool | None = None
    """Leave answers that reached max_completion_length out of the loss; true in dapo (overlong filtering)."""
    vllm: Literal["auto", "colocate", "server", "off"] | None = None
    """Sample with vLLM: `auto` does where the job has a GPU and vLLM is installed, else transformers samples."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if isinstance(value, dict) and "rewards" in value:
            rewards = value["rewards"]
            many = rewards if isinstance(rewards, list | tuple) else (rewards,)
            return {**value, "rewards": tuple(expanded(reward) for reward in many)}
        return value

    @model_validator(mode="after")
    def _fields_fit_the_stage(self) -> Method:
        for name, stages in FIELD_STAGES.items():
            if getattr(self, name) not in (None, ()) and self.stage not in stages:
                raise ValueError(f"{name} means nothing to {self.stage}; it belongs to {', '.join(stages)}")
        if self.beta == 0 and self.stage in PREFERENCE:
            raise ValueError(f"beta must be more than 0 in {self.stage}")
        return self
