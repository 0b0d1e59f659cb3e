"""A transformers Trainer that goes on after an interruption as if there had been none.

transformers saves weights, optimizer, scheduler, random states and the counters of `TrainerState`. What it does not
save, and what makes a resumed log or model differ, is kept here (read against transformers 5.6 and 5.23):

- sums of losses that are not logged yet, all that goes into `train_loss`, and the lists that preference trainers
  average at their next log: a file `ftsdk_rank_R.pt` of every rank in the checkpoint folder
- what was still to be done at the step of the checkpoint: an evaluation (put off by a notice, or cut short by one),
  the end of an epoch. It is done after the resume, at the same place in the random numbers
- that the training had already come to its end: transformers would train one step more

`Resumable` is a mixin; `make_resumable` puts it under a trainer that somebody else has built.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftsdk.runtime.programs.callbacks import Checkpoints

EVALUATION, EPOCH_END = "evaluation", "epoch end"
"""What may be owed at a checkpoint's step."""
FILE = "ftsdk_rank_{}.pt"


class EvaluationStopped(BaseException):
    """A notice came during an evaluation. Not an Exception: no `except Exception` on the way may swallow it."""


def make_resumable(trainer: Any, checkpoints: Checkpoints, resume: str | None) -> None:
    """Put `Resumable` under a trainer; to be called before its `train(resume_from_checkpoint=resume)`."""
    if not isinstance(trainer, Resumable):
        trainer.__class__ = type(type(trainer).__name__, (Resumable, type(trainer)), {})
    trainer.resumes_with(checkpoints, resume)


class Resumable:
    """Mixin before a `transformers.Trainer` subclass. Its hooks are the Trainer's own methods, by their own names."""

    carried: tuple[str, ...] = (
        "_tr_loss",
        "_total_loss_scalar",
        "_globalstep_last_logged",
        "_initial_global_step",  # transformers 5.23 divides by the steps since then
        "_stored_metrics",  # TRL 0.24: dpo, kto
        "_metrics",  # TRL 1.x
        "_total_train_tokens",
    )
    """Names of attributes that belong to a checkpoint: numbers, tensors, or lists and dicts of them."""

    def resumes_with(self, checkpoints: Checkpoints, resume: str | None) -> None:
        """Take the callback that decides when to save, and the folder to go on from."""
        trainer: Any = self
        self._checkpoints, self._resume = checkpoints, resume
        self._whole_step = -1
        """The step whose checkpoint is whole. It is never written again: published files may share its inodes."""
        self._owed, self._has_finished, self._is_settled = "", False, False
        self._random_after: Any = None
        self._logged_with: tuple[Any, Any] = None, None
        if resume:
            trainer.args.eval_on_start = False  # it was done before the first step

    # --- the Trainer's methods --------------------------------------------------------------------------------
    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        trainer: Any = self
        self._settle()
        if self._has_finished:
            trainer.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)  # type: ignore[misc]

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        self._settle()  # a checkpoint of the last step leaves no epoch to run
        return super()._finalize_training(*args, **kwargs)  # type: ignore[misc]

    def _maybe_log_save_evaluate(
        self, tr_loss: Any, grad_norm: Any, *args: Any, learning_rate: Any = None, **kwargs: Any
    ) -> None:
        trainer: Any = self
        self._logged_with = grad_norm, learning_rate
        leaves_here = self._checkpoints.stopping and trainer.control.should_training_stop
        if leaves_here and trainer.control.should_evaluate:
            trainer.control.should_evaluate = False  # it may take longer than the platform waits
            self._owed = EVALUATION
        if trainer.state.global_step == self._whole_step:
            trainer.control.should_save = False
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, learning_rate=learning_rate, **kwargs)  # type: ignore[misc]
        self._note_best()

    def _evaluate(self, *args: Any, **kwargs: Any) -> Any:
        trainer: Any = self
        numbers, kept, logged = random_state(), self._kept(), len(trainer.state.log_history)
        try:
            return super()._evaluate(*args, **kwargs)  # type: ignore[misc]
        except EvaluationStopped:
            set_random_state(numbers)
            self._put_back(kept)
            del trainer.state.log_history[logged:]  # of several data sets some are done: all are done again
            self._owed = EPOCH_END if self._checkpoints.epoch_ended else EVALUATION
            self._save_and_leave()

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's. One after the training is left at once, with the training's last state saved."""
        return self._left_at_notice(super().evaluate, *args, **kwargs)  # type: ignore[misc]

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's; left like `evaluate`."""
        return self._left_at_notice(super().predict, *args, **kwargs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As the Trainer's, but the summary only once: a notice after it starts again behind the last step."""
        trainer: Any = self
        if not ("train_loss" in logs and any("train_loss" in row for row in trainer.state.log_history)):
            super().log(logs, *args, **kwargs)  # type: ignore[misc]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        trainer: Any = self
        began = time.monotonic()
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        self._write(Path(trainer.args.output_dir, f"checkpoint-{trainer.state.global_step}"))
        self._whole_step = trainer.state.global_step
        self._checkpoints.saved_within(time.monotonic() - began)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if self._random_after is not None:
            set_random_state(self._random_after)
            self._random_after = None
            return
        super()._load_rng_state(checkpoint)  # type: ignore[misc]
        if checkpoint and self._world_size_then(Path(checkpoint)) != self._world_size:
            self._take_new_random_numbers()

    # --- saving -------------------------------------------------------------------------------------------------
    def _left_at_notice(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        trainer: Any = self
        try:
            return call(*args, **kwargs)
        except EvaluationStopped:
            if trainer.is_in_train:
                raise
            self._owed, self._has_finished = "", True
            self._save_and_leave()

    def _save_and_leave(self) -> None:
        trainer: Any = self
        if trainer.state.global_step not in (0, self._whole_step):
            self._save_checkpoint(trainer.model_wrapped, None)
            trainer.control = trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
        self._checkpoints.leave(trainer.args, trainer.state)

    def _write(self, folder: Path) -> None:
        import torch

        trainer: Any = self
        grad_norm, learning_rate = self._logged_with
        state = {
            "world_size": self._world_size,
            "attributes": self._kept(),
            "owed": self._owed or (EPOCH_END if self._epoch_ends_here() else ""),
            "finished": self._is_finished(),
            "grad_norm": float(grad_norm) if grad_norm is not None else None,
            "learning_rate": learning_rate,
        }
        torch.save(state, folder / FILE.format(trainer.args.process_index))

    def _is_finished(self) -> bool:
        trainer: Any = self
        stopped_itself = trainer.control.should_training_stop and not self._checkpoints.stopping
        return bool(self._has_finished or stopped_itself or trainer.state.global_step >= trainer.state.max_steps)

    def _epoch_ends_here(self) -> bool:
        """Whether the hooks at an epoch's end are still to come at this step."""
        trainer: Any = self
        ends = self._is_finished() or float(trainer.state.epoch).is_integer()
        return ends and trainer.is_in_train and not self._checkpoints.epoch_ended

    def _kept(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in self.carried if hasattr(self, name)}

    # --- resuming -----------------------------------------------------------------------------------------------
    def _settle(self) -> None:
        """Once, before the first step: take up what the checkpoint kept, and do what was owed."""
        if self._is_settled or not self._resume:
            return
        self._is_settled = True
        trainer: Any = self
        kept = self._read(Path(self._resume))
        self._put_back(kept["attributes"])
        self._whole_step, self._has_finished = trainer.state.global_step, kept["finished"]
        best = trainer.state.best_model_checkpoint
        if best:  # scratch may lie elsewhere than where it was saved
            trainer.state.best_model_checkpoint = str(Path(trainer.args.output_dir, Path(best).name))
        if kept["owed"]:
            self._load_rng_state(self._resume)
            self._catch_up(kept)
            self._random_after = random_state()

    def _catch_up(self, kept: Mapping[str, Any]) -> None:
        trainer: Any = self
        if kept["owed"] == EVALUATION:
            metrics = self._evaluate(None, None)
            trainer._determine_best_metric(metrics=metrics, trial=None)
            self._note_best()
            self._has_finished = self._is_finished()
            if not self._epoch_ends_here():
                return
        trainer.control = trainer.callback_handler.on_epoch_end(trainer.args, trainer.state, trainer.control)
        self._maybe_log_save_evaluate(
            trainer._tr_loss,
            kept["grad_norm"],
            trainer.model_wrapped,
            None,
            trainer.state.epoch,
            None,
            time.time(),
            learning_rate=kept["learning_rate"],
        )
        self._has_finished = self._is_finished()

    def _note_best(self) -> None:
        """As the Trainer notes it while it saves; this checkpoint may have been saved before it was evaluated."""
        trainer: Any = self
        if self._whole_step == trainer.state.global_step == trainer.state.best_global_step:
            trainer.state.best_model_checkpoint = str(Path(trainer.args.output_dir, f"checkpoint-{self._whole_step}"))

    def _put_back(self, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            setattr(self, name, _filled(getattr(self, name, None), value))

    def _read(self, folder: Path) -> dict[str, Any]:
        """This rank's file, or, if there are more or fewer ranks now, rank 0's with the mean of all sums."""
        trainer: Any = self
        then = self._world_size_then(folder)
        if then == self._world_size:
            return _load(folder / FILE.format(trainer.args.process_index))
        every = [_load(folder / FILE.format(rank)) for rank in range(then)]
        sums = [one["attributes"]["_tr_loss"] for one in every]
        every[0]["attributes"]["_tr_loss"] = sum(sums) / then
        return every[0]

    @property
    def _world_size(self) -> int:
        trainer: Any = self
        return int(trainer.args.world_size)

    def _world_size_then(self, folder: Path) -> int:
        return int(_load(folder / FILE.format(0))["world_size"])

    def _take_new_random_numbers(self) -> None:
        """Other ranks than those that saved: seeded by the step, so that no mask of the first steps comes again."""
        from transformers import set_seed

        trainer: Any = self
        set_seed(trainer.args.seed + trainer.state.global_step * self._world_size + trainer.args.process_index)


def random_state() -> tuple[Any, ...]:
    """Where the random numbers of this process stand."""
    import numpy as np
    import torch

    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), cards


def set_random_state(state: tuple[Any, ...]) -> None:
    """Back to where `random_state` was called."""
    import numpy as np
    import torch

    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])
    if state[3] is not None:
        torch.cuda.set_rng_state_all(state[3])


def _load(path: Path) -> dict[str, Any]:
    import torch

    if not path.is_file():
        raise FileNotFoundError(f"{path.parent.name} has no {path.name}: it was not saved by ftsdk's trainer")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _plain(value: Any) -> Any:
    """A copy that torch.load takes with `weights_only`: plain dicts and lists, tensors on the CPU."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.detach().cpu().clone() if hasattr(value, "detach") else value


def _filled(now: Any, kept: Any) -> Any:
    """The kept value in the container, or on the device, that the trainer has now."""
    if isinstance(now, dict) and isinstance(kept, Mapping):
        now_keys = set(now)
        for key in now_keys - kept.keys():
            del now[key]
        for key, value in kept.items():
            now[key] = _filled(now[key] if key in now or hasattr(now, "default_factory") else None, value)
        return now
    return kept.to(now.device) if hasattr(now, "device") and hasattr(kept, "to") else kept
