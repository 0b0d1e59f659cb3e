"""A transformers Trainer that resumes after an interruption with the same results as without one.

transformers saves weights, optimizer, scheduler, random states and the counters of `TrainerState`. State that it does
not save, and without which a resumed log or model differs, is saved here (checked against transformers 5.6 and 5.23):

- sums of losses that are not logged yet, the terms of `train_loss`, and the lists that preference trainers average at
  their next log: a file `ftsdk_rank_R.pt` of every rank in the checkpoint folder
- what was pending at the step of the checkpoint: an evaluation (deferred or stopped by a stop request), the end of an
  epoch. It is done after the resume, with the same state of the random number generators
- that the training had already reached its end: transformers would train one more step

`Resumable` is a mixin; `make_resumable` adds it to an existing trainer.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, NotRequired, TypeAlias, TypedDict, TypeVar

from ftsdk import contract
from ftsdk.runtime.programs.heartbeat import HEARTBEAT
from ftsdk.runtime.programs.interruption import EvaluationStopped
from ftsdk.runtime.programs.model.modules import refuse_other_tensors
from ftsdk.runtime.worker_protocol import Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel, Trainer, TrainerControl
    from transformers.trainer_utils import PredictionOutput, TrainOutput

    from ftsdk.runtime.programs.callbacks import CheckpointCallback

    TrainerMethods: TypeAlias = Trainer
    Carried: TypeAlias = Tensor | float | str | list["Carried"] | dict[str, "Carried"]
    """The value of an attribute that is part of a checkpoint."""
else:
    TrainerMethods = object  # transformers is imported by the program that trains

EVALUATION, EPOCH_END = "evaluation", "epoch end"
"""What may be pending at a checkpoint's step."""
FILE = "ftsdk_rank_{}.pt"
Output = TypeVar("Output")


def make_resumable(trainer: Trainer, checkpoints: CheckpointCallback, resume: str | None) -> None:
    """Add `Resumable` to a trainer's class; call it before `train(resume_from_checkpoint=resume)`."""
    if resume and _is_taken_over(Path(resume)):
        refuse_other_tensors(trainer.model, Path(resume))  # before the optimizer's state fails without a name
    if not isinstance(trainer, Resumable):
        trainer.__class__ = type(type(trainer).__name__, (Resumable, type(trainer)), {})
    trainer.set_checkpoints(checkpoints, resume)


class SavedState(TypedDict):
    """The content of one rank's file in a checkpoint."""

    world_size: int
    attributes: dict[str, Carried]
    owed: str
    """EVALUATION, EPOCH_END or empty."""
    finished: bool
    grad_norm: NotRequired[float | None]
    learning_rate: NotRequired[float | None]


class RandomState(NamedTuple):
    """The state of a process's random number generators."""

    python: tuple[object, ...]
    numpy: dict[str, object] | tuple[str, NDArray[np.uint32], int, int, float]
    torch: Tensor
    cards: list[Tensor] | None


class Resumable(TrainerMethods):  # type: ignore[misc]
    """Mixin before a `transformers.Trainer` subclass. It overrides the Trainer's own methods."""

    control: TrainerControl
    carried: tuple[str, ...] = (
        "_tr_loss",
        "_total_loss_scalar",
        "_globalstep_last_logged",
        "_initial_global_step",  # transformers 5.23 divides by the steps since then
        "_stored_metrics",  # TRL 0.24: dpo, kto
        "_metrics",  # TRL 1.x
        "_total_train_tokens",
        "rank_scores",  # adalora, see `model.adapters`
    )
    """Names of attributes that are part of a checkpoint: numbers, tensors, or lists and dicts of them."""

    def set_checkpoints(self, checkpoints: CheckpointCallback, resume: str | None) -> None:
        """Set the callback that decides when to save, and the folder to resume from."""
        self._checkpoints, self._resume = checkpoints, resume
        self._complete_step = -1
        """The step whose checkpoint is complete. It is never written again: published files may share its inodes."""
        self._pending, self._has_finished, self._is_restored = "", False, False
        self._random_after: RandomState | None = None
        self._logged_with: tuple[Tensor | float | None, float | None] = None, None
        if resume:
            self.args.eval_on_start = False  # it was done before the first step

    # --- the Trainer's methods --------------------------------------------------------------------------------
    def _run_epoch(self, *args: object, **kwargs: object) -> None:
        self._restore()
        if self._has_finished:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _finalize_training(self, *args: object, **kwargs: object) -> TrainOutput:
        self._restore()  # after a checkpoint of the last step no epoch is run
        return super()._finalize_training(*args, **kwargs)

    def _maybe_log_save_evaluate(
        self,
        tr_loss: Tensor,
        grad_norm: Tensor | float | None,
        *args: object,
        learning_rate: float | None = None,
        **kwargs: object,
    ) -> None:
        self._logged_with = grad_norm, learning_rate
        leaves_here = self._checkpoints.stopping and self.control.should_training_stop
        if leaves_here and self.control.should_evaluate:
            self.control.should_evaluate = False  # it may take longer than the platform's grace
            self._pending = EVALUATION
        if self.state.global_step == self._complete_step:
            self.control.should_save = False
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, learning_rate=learning_rate, **kwargs)
        self._note_best()

    def _evaluate(self, *args: object, **kwargs: object) -> dict[str, float]:
        random_before, attributes, logged = random_state(), self._attributes(), len(self.state.log_history)
        try:
            metrics: dict[str, float] = super()._evaluate(*args, **kwargs)
            return metrics
        except EvaluationStopped:
            set_random_state(random_before)
            self._set_attributes(attributes)
            del self.state.log_history[logged:]  # all data sets are evaluated again, even if some are done
            self._pending = EPOCH_END if self._checkpoints.epoch_ended else EVALUATION
            self._save_and_leave()

    def evaluate(self, *args: object, **kwargs: object) -> dict[str, float]:
        """As the Trainer's. After the training it stops at once on a request, with the training's last state saved."""
        return self._stopped_on_request(super().evaluate, *args, **kwargs)

    def predict(self, *args: object, **kwargs: object) -> PredictionOutput:
        """As the Trainer's; stops like `evaluate`."""
        return self._stopped_on_request(super().predict, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: object, **kwargs: object) -> None:
        """As the Trainer's, but logs the summary only once: a stop after it resumes after the last step."""
        if not ("train_loss" in logs and any("train_loss" in row for row in self.state.log_history)):
            super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, model: PreTrainedModel, trial: object) -> None:
        began = time.monotonic()
        with HEARTBEAT.during(Phase.CHECKPOINT):
            super()._save_checkpoint(model, trial)
            self._write(Path(self.args.output_dir, f"checkpoint-{self.state.global_step}"))
            self._checkpoints.wait_for_all()
        self._complete_step = self.state.global_step
        self._checkpoints.set_cost(time.monotonic() - began)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if self._random_after is not None:
            set_random_state(self._random_after)
            self._random_after = None
            return
        super()._load_rng_state(checkpoint)
        if checkpoint and self._saved_world_size(Path(checkpoint)) != self._world_size:
            self._reseed()

    # --- saving -------------------------------------------------------------------------------------------------
    def _stopped_on_request(self, call: Callable[..., Output], *args: object, **kwargs: object) -> Output:
        try:
            with HEARTBEAT.during(Phase.EVALUATION):
                return call(*args, **kwargs)
        except EvaluationStopped:
            if self.is_in_train:
                raise
            self._pending, self._has_finished = "", True
            self._save_and_leave()

    def _save_and_leave(self) -> NoReturn:
        if self.state.global_step not in (0, self._complete_step):
            self._save_checkpoint(self.model_wrapped, None)
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)
        self._checkpoints.leave(self.args, self.state)

    def _write(self, folder: Path) -> None:
        import torch

        grad_norm, learning_rate = self._logged_with
        state: SavedState = {
            "world_size": self._world_size,
            "attributes": self._attributes(),
            "owed": self._pending or (EPOCH_END if self._epoch_ends_here() else ""),
            "finished": self._is_finished(),
            "grad_norm": float(grad_norm) if grad_norm is not None else None,
            "learning_rate": learning_rate,
        }
        torch.save(state, folder / FILE.format(self.args.process_index))

    def _is_finished(self) -> bool:
        stopped_itself = self.control.should_training_stop and not self._checkpoints.stopping
        return bool(self._has_finished or stopped_itself or self.state.global_step >= self.state.max_steps)

    def _epoch_ends_here(self) -> bool:
        """Whether the hooks at an epoch's end are pending at this step."""
        ends = self._is_finished() or float(self.state.epoch).is_integer()
        return ends and self.is_in_train and not self._checkpoints.epoch_ended

    def _attributes(self) -> dict[str, Carried]:
        return {name: _plain(getattr(self, name)) for name in self.carried if hasattr(self, name)}

    # --- resuming -----------------------------------------------------------------------------------------------
    def _restore(self) -> None:
        """Once, before the first step: restore the checkpoint's attributes, and do what was pending."""
        if self._is_restored or not self._resume:
            return
        self._is_restored = True
        saved = self._read(Path(self._resume))
        self._set_attributes(saved["attributes"])
        self._complete_step, self._has_finished = self.state.global_step, saved["finished"]
        if _is_taken_over(Path(self._resume)):
            self._begin_after_another_training()
        best = self.state.best_model_checkpoint
        if best:  # scratch may be another folder than when it was saved
            self.state.best_model_checkpoint = str(Path(self.args.output_dir, Path(best).name))
        if saved["owed"]:
            self._load_rng_state(self._resume)
            self._do_pending(saved)
            self._random_after = random_state()

    def _begin_after_another_training(self) -> None:
        """Its end is not this one's, and its best model is not here."""
        self._has_finished = self.state.global_step >= self.state.max_steps
        self.state.best_model_checkpoint = self.state.best_metric = self.state.best_global_step = None

    def _do_pending(self, saved: SavedState) -> None:
        if saved["owed"] == EVALUATION:
            metrics = self._evaluate(None, None)
            self._determine_best_metric(metrics=metrics, trial=None)
            self._note_best()
            self._has_finished = self._is_finished()
            if not self._epoch_ends_here():
                return
        self.control = self.callback_handler.on_epoch_end(self.args, self.state, self.control)
        self._maybe_log_save_evaluate(
            self._tr_loss,
            saved["grad_norm"],
            self.model_wrapped,
            None,
            self.state.epoch,
            None,
            time.time(),
            learning_rate=saved["learning_rate"],
        )
        self._has_finished = self._is_finished()

    def _note_best(self) -> None:
        """As the Trainer does when it saves; this checkpoint may have been saved before it was evaluated."""
        step = self._complete_step
        if step == self.state.global_step == self.state.best_global_step:
            self.state.best_model_checkpoint = str(Path(self.args.output_dir, f"checkpoint-{step}"))

    def _set_attributes(self, attributes: Mapping[str, Carried]) -> None:
        for name, value in attributes.items():
            setattr(self, name, _filled(getattr(self, name, None), value))

    def _read(self, folder: Path) -> SavedState:
        """This rank's file; if the number of ranks has changed, rank 0's with the mean of all loss sums."""
        ranks = self._saved_world_size(folder)
        if ranks == self._world_size:
            return _load(folder / FILE.format(self.args.process_index))
        states = [_load(folder / FILE.format(rank)) for rank in range(ranks)]
        if not states[0]["attributes"]:
            return states[0]
        sums: list[Tensor] = [state["attributes"]["_tr_loss"] for state in states]
        states[0]["attributes"]["_tr_loss"] = sum(sums) / ranks
        return states[0]

    @property
    def _world_size(self) -> int:
        return int(self.args.world_size)

    def _saved_world_size(self, folder: Path) -> int:
        return int(_load(folder / FILE.format(0))["world_size"])

    def _reseed(self) -> None:
        """For a changed number of ranks: seeded by the step, so that the masks of the first steps are not repeated."""
        from transformers import set_seed

        set_seed(self.args.seed + self.state.global_step * self._world_size + self.args.process_index)


def random_state() -> RandomState:
    """The state of this process's random number generators."""
    import numpy as np
    import torch

    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    return RandomState(random.getstate(), np.random.get_state(), torch.get_rng_state(), cards)


def set_random_state(state: RandomState) -> None:
    """Set the state that `random_state` returned."""
    import numpy as np
    import torch

    random.setstate(state.python)
    np.random.set_state(state.numpy)
    torch.set_rng_state(state.torch)
    if state.cards is not None:
        torch.cuda.set_rng_state_all(state.cards)


def _is_taken_over(folder: Path) -> bool:
    return (folder / contract.TAKEN_OVER_FILE).is_file()


def _load(path: Path) -> SavedState:
    import torch

    if not path.is_file() and _is_taken_over(path.parent):
        ranks = max(1, len(list(path.parent.glob("rng_state_*.pth"))))
        return {"world_size": ranks, "attributes": {}, "owed": "", "finished": False}
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent.name} has no {path.name}: it was not saved by ftsdk's trainer")
    state: SavedState = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _plain(value: Carried | Mapping[str, Carried] | tuple[Carried, ...]) -> Carried:
    """A copy that torch.load accepts with `weights_only`: plain dicts and lists, tensors on the CPU."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.detach().cpu().clone() if hasattr(value, "detach") else value


def _filled(current: object, saved: Carried) -> object:
    """The saved value in the container, or on the device, of the trainer's current value."""
    if isinstance(current, dict) and isinstance(saved, Mapping):
        for key in set(current) - saved.keys():
            del current[key]
        for key, value in saved.items():
            has_value = key in current or hasattr(current, "default_factory")
            current[key] = _filled(current[key] if has_value else None, value)
        return current
    return saved.to(current.device) if hasattr(current, "device") and hasattr(saved, "to") else saved
