"""Our callbacks for trainers that sample answers: checkpoints between two samplings, and what the answers earned."""

from __future__ import annotations

from typing import Any

from ftsdk.runtime.programs.callbacks import Checkpoints, Metrics
from ftsdk.runtime.programs.worker import StopWish
from ftsdk.runtime.worker_protocol import TrainJob

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
        self._save_wanted = self._stop_wanted = False

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        super().on_step_end(args, state, control, **more)
        self._save_wanted |= control.should_save
        self._stop_wanted |= self.stopping
        between = self._is_between(state)
        self.stopping = self._stop_wanted and between and state.global_step < state.max_steps
        control.should_save = self._save_wanted and between
        control.should_training_stop = self.stopping or state.global_step >= state.max_steps
        self._save_wanted &= not between

    def on_prediction_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self._is_between(state):  # elsewhere there is no checkpoint that an evaluation could be left with
            super().on_prediction_step(args, state, control, **more)

    def _is_between(self, state: Any) -> bool:
        return bool(state.global_step % self._steps == 0)


class RewardMetrics(Metrics):
    """The Trainer's logs under our names."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **more: Any) -> None:
        renamed = {NAMES[name]: value for name, value in logs.items() if name in NAMES}
        super().on_log(args, state, control, {**logs, **renamed}, **more)
