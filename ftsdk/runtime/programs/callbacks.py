"""Callbacks of the transformers Trainer for checkpoints, interruption and metrics."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from transformers import TrainerCallback

from ftsdk import contract
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.programs.agreement import Agreement
from ftsdk.runtime.programs.cadence import Cadence
from ftsdk.runtime.programs.heartbeat import heartbeat_callback
from ftsdk.runtime.programs.interruption import EvaluationStopped, InterruptedTraining, StopRequest
from ftsdk.runtime.worker_protocol import TrainJob

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from ftsdk.contract.documents import PlannedRun

GIB = 1 << 30


class NonFiniteLossError(ArithmeticError):
    """The loss is NaN or infinite: every further step would be wasted."""


def build_callbacks(job: TrainJob, stop: StopRequest) -> tuple[CheckpointCallback, MetricsCallback, TrainerCallback]:
    """ftsdk's callbacks, in the order in which they run; the trainer's own follow. They fit any trainer.

    A training program passes them to its Trainer, disables the Trainer's own saving (except with
    `load_best_model_at_end`), and calls `make_resumable(trainer, checkpoints, job["resume"])` before it trains.
    """
    return CheckpointCallback(job, stop), MetricsCallback(job), heartbeat_callback()


def emit(kind: str, **fields: object) -> None:
    """Send an event to the supervisor, after what was printed before it."""
    sys.stdout.flush()
    worker_protocol.send_event(os.environ, {"event": kind, **fields})


class CheckpointCallback(TrainerCallback):  # type: ignore[misc]
    """Requests a checkpoint when the cadence or an interruption requires one, and announces it once it is complete.

    It is complete at the next hook after `on_save`: later callbacks still write to it (value heads, processors), and
    other ranks write their random states.
    """

    def __init__(self, job: TrainJob, stop: StopRequest) -> None:
        self._cadence = Cadence(job["document"]["checkpoint"])
        self._run = job["run"]
        self._stop = stop
        self._saves = self._evaluations = self._predictions = 0
        self._unannounced: int | None = None
        """Step of a checkpoint that is being completed."""
        self.stopping = False
        """Whether all ranks stop at the end of this step (or, in a subclass, of a later one)."""
        self.epoch_ended = False
        """Whether the hooks at the end of an epoch have begun, and no further step has."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._agreement = Agreement()
        if (speed := self._agreement.all_reduce_gb_s()) and args.process_index == 0:
            emit(contract.EVENT_NODE_CHECK, node=0, all_reduce_gb_s=round(speed, 3), processes=args.world_size)
        self._cadence.begin()
        self._stop.training = True

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.epoch_ended = False
        self._announce(args, state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        step = state.global_step
        self._agreement.end_of_step()
        due_by_time = args.process_index == 0 and self._cadence.is_due_by_time()
        due_by_step = self._cadence.is_due_by_step(step, state.max_steps)
        if self._agreement.is_due(f"save-{self._saves}", due_by_time, step) or due_by_step:
            control.should_save = True
        if self._agreement.is_due("stop", self._stop.received, step) and step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopping = True

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """An evaluation gathers every batch over all ranks, so that they advance together as in training."""
        self._predictions += 1
        self._agreement.end_of_step()
        if self._agreement.is_due(f"stop-evaluation-{self._evaluations}", self._stop.received, self._predictions):
            raise EvaluationStopped

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._evaluations, self._predictions = self._evaluations + 1, 0

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._unannounced = state.global_step
        self._saves += 1
        self._cadence.saved(publish_s=worker_protocol.read_publish_duration(self._run))

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if self.stopping and control.should_training_stop:
            self.leave(args, state)
        self.epoch_ended = True
        self._announce(args, state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._announce(args, state)

    def leave(self, args: TrainingArguments, state: TrainerState) -> NoReturn:
        """Announce the checkpoint, then unwind. Raises InterruptedTraining."""
        self._announce(args, state)
        raise InterruptedTraining

    def wait_for_all(self) -> None:
        """Wait until all ranks have written their parts: in the next step the wait would look like a hang."""
        self._agreement.barrier()

    def set_cost(self, seconds: float) -> None:
        """Called with the number of seconds for which a checkpoint paused the training."""
        self._cadence.cost_s = seconds

    def _announce(self, args: TrainingArguments, state: TrainerState) -> None:
        step, self._unannounced = self._unannounced, None
        if step is not None:
            self._agreement.barrier()
            if args.local_process_index == 0:
                path = str(Path(args.output_dir, f"checkpoint-{step}"))
                best = Path(state.best_model_checkpoint or "").name if args.load_best_model_at_end else ""
                emit(contract.EVENT_CHECKPOINT, step=step, path=path, best=best)


class MetricsCallback(TrainerCallback):  # type: ignore[misc]
    """Writes the Trainer's logs as event lines, and fails at a loss that is not a number."""

    def __init__(self, job: TrainJob) -> None:
        self._wandb = job["document"]["wandb"]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._began = self._logged_at = time.monotonic()
        self._first_step = state.global_step
        self._tokens = state.num_input_tokens_seen
        if state.is_world_process_zero and self._wandb:
            _describe_run(self._wandb["config"])

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **_: object,
    ) -> None:
        if state.is_world_process_zero:
            numbers: dict[str, float] = {name: logs[name] for name in contract.METRIC_FIELDS if name in logs}
            if "loss" in numbers:
                numbers |= self._speed(state)
            if numbers:
                place = {"step": state.global_step, "total_steps": state.max_steps, "epoch": state.epoch}
                emit(contract.EVENT_METRICS, **place, time=time.time(), **{k: _json(v) for k, v in numbers.items()})
        if not math.isfinite(logs.get("loss", 0.0)):
            raise NonFiniteLossError(f"the loss is {logs['loss']} at step {state.global_step}")

    def _speed(self, state: TrainerState) -> dict[str, float]:
        """Tokens per second since the last log, time left at this attempt's pace, and the device's peak memory."""
        import torch

        now, tokens = time.monotonic(), state.num_input_tokens_seen
        pace_s = (now - self._began) / max(state.global_step - self._first_step, 1)
        speed = {
            "tokens_per_s": round((tokens - self._tokens) / max(now - self._logged_at, 1e-9), 1),
            "eta_s": round(pace_s * (state.max_steps - state.global_step), 1),
        }
        if torch.cuda.is_available():
            speed["gpu_memory_gib"] = round(torch.cuda.max_memory_allocated() / GIB, 3)
        self._logged_at, self._tokens = now, tokens
        return speed


def _json(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _describe_run(config: PlannedRun) -> None:
    """Store the whole spec and plan in the W&B run that the Trainer's own reporter has opened."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.config.update({"ftsdk": config}, allow_val_change=True)
