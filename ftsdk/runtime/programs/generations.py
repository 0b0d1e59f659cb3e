"""Callbacks for trainers that sample answers: checkpoints between two samplings, and the metrics of rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftsdk.runtime.programs.callbacks import CheckpointCallback, MetricsCallback
from ftsdk.runtime.programs.interruption import StopRequest
from ftsdk.runtime.worker_protocol import TrainJob

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

NAMES = {
    "completions/mean_length": "completion_length",
    # PPO's
    "objective/scores": "reward",
    "objective/kl": "kl",
    "policy/entropy_avg": "entropy",
    "loss/policy_avg": "loss",
    "lr": "learning_rate",
}
"""TRL's name of a metric -> ftsdk's (`contract.METRIC_FIELDS`)."""


class SamplingCheckpointCallback(CheckpointCallback):
    """Saves and stops only before a step that samples new answers: checkpoints do not hold sampled answers.

    A request in between is deferred until then, at the same step on all ranks: they agree on its step.
    """

    def __init__(self, job: TrainJob, stop: StopRequest) -> None:
        super().__init__(job, stop)
        arguments = job["document"]["config"]["arguments"]
        micro_steps = arguments["steps_per_generation"] * arguments.get("num_iterations", 1)
        self._steps = max(1, micro_steps // arguments["gradient_accumulation_steps"])
        self._save_requested = self._stop_requested = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: object
    ) -> None:
        super().on_step_end(args, state, control, **more)
        self._save_requested |= control.should_save
        self._stop_requested |= self.stopping
        between = self._is_between(state)
        self.stopping = self._stop_requested and between and state.global_step < state.max_steps
        control.should_save = self._save_requested and between
        control.should_training_stop = self.stopping or state.global_step >= state.max_steps
        self._save_requested &= not between

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: object
    ) -> None:
        if self._is_between(state):  # elsewhere an evaluation cannot be stopped, because no checkpoint could be saved
            super().on_prediction_step(args, state, control, **more)

    def _is_between(self, state: TrainerState) -> bool:
        return bool(state.global_step % self._steps == 0)


class RewardMetricsCallback(MetricsCallback):
    """Writes the Trainer's logs under ftsdk's names."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **more: object,
    ) -> None:
        renamed = {NAMES[name]: value for name, value in logs.items() if name in NAMES}
        super().on_log(args, state, control, {**logs, **renamed}, **more)
