"""Our callbacks for trainers that sample answers: checkpoints between two samplings, and what the answers earned."""

from __future__ import annotations

from typing import Any

from ftsdk.runtime.handover import TrainJob
from ftsdk.runtime.trainers.callbacks import Checkpoints, Metrics
from ftsdk.runtime.worker import StopWish

NAMES = {
    "completions/mean_length": "completion_length",
    # PPO's
    "objective/scores": "reward",
    "objective/kl": "kl",
    "policy/entropy_avg": "entropy",
    "loss/policy_avg": "loss",
    "lr": "learning_rate",
}
"""TRL's name of a metric -> ours (`contract.METRIC_FIELDS`)."""


class BetweenSamplings(Checkpoints):
    """Saves and stops only where the next step samples anew: sampled answers are in no checkpoint.

    A wish in between is kept until then. All ranks agree: they have agreed on the step of the wish, and count the same.
    """

    def __init__(self, job: TrainJob, wish: StopWish) -> None:
        super().__init__(job, wish)
        arguments = job["document"]["config"]["arguments"]
        lasting = arguments["steps_per_generation"] * arguments.get("num_iterations", 1)
        self._steps = max(1, lasting // arguments["gradient_accumulation_steps"])
        self._wanted = False

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        super().on_step_end(args, state, control, **more)
        self._wanted |= control.should_save
        between = state.global_step % self._steps == 0
        control.should_save = self._wanted and between
        self._wanted = self._wanted and not between
        if state.global_step >= state.max_steps:
            self.stopping = False  # nothing is left to be interrupted
        elif self.stopping:
            control.should_training_stop = between


class RewardMetrics(Metrics):
    """The Trainer's logs under our names."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **more: Any) -> None:
        renamed = {NAMES[name]: value for name, value in logs.items() if name in NAMES}
        super().on_log(args, state, control, {**logs, **renamed}, **more)
