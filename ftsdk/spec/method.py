"""Method: what the training optimises."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from ftsdk.spec.base import Part

Stage = Literal[
    "pt", "sft", "rm", "ppo", "dpo", "ipo", "kto", "orpo", "simpo", "grpo", "dapo", "gspo", "dr_grpo", "rloo"
]  # fmt: skip
STAGES: tuple[str, ...] = get_args(Stage)


class Method(Part):
    """The training objective. In YAML a bare name (`method: dpo`) is the same as `{stage: dpo}`."""

    stage: Stage = "sft"
    """pt (continued pre-training), sft, rm (reward model), a preference method (dpo, ipo, kto, orpo, simpo)
    or a reinforcement method (ppo, grpo, dapo, gspo, dr_grpo, rloo)."""
    beta: float | None = Field(default=None, gt=0)
    """Strength of the pull towards the reference model in preference methods; the trainer's default is 0.1."""
    label_smoothing: float | None = Field(default=None, ge=0, lt=0.5)
    """Share of preference labels assumed to be flipped (dpo)."""
    gamma: float | None = Field(default=None, ge=0)
    """Target reward margin (simpo)."""
    sft_weight: float | None = Field(default=None, ge=0)
    """Weight of an added SFT loss on the chosen answer (dpo family)."""
    reward_model: str | None = None
    """Model that scores answers (ppo): a path, a hub id or a finished `rm` job's model URI."""
    rewards: tuple[str, ...] = Field(default=(), strict=False)
    """Reward functions (grpo family, ppo): names of built-ins or `file.py:function`."""
