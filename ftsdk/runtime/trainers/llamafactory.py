"""Drives LLaMA-Factory through its `run_exp`, with our callbacks for metrics, cadence and interruption."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from ftsdk import contract
from ftsdk.runtime.handover import TrainJob
from ftsdk.runtime.worker import InterruptedTraining, StopWish

if TYPE_CHECKING:
    from ftsdk.runtime.trainers.callbacks import Checkpoints


def train(job: TrainJob, wish: StopWish) -> None:
    """Train as the job document says."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        see_one_card(os.environ)
    from llamafactory.train.tuner import run_exp

    from ftsdk.runtime.trainers.callbacks import build_callbacks

    _let_torch_load_on_numbered_cpus()
    ours = build_callbacks(job, wish)
    _make_every_trainer_resumable(ours[0], job["resume"])
    exit_code = contract.EXIT_FAILED
    try:
        run_exp(configured(job), callbacks=list(ours))
        exit_code = contract.EXIT_SUCCEEDED
    except InterruptedTraining:
        exit_code = contract.EXIT_INTERRUPTED
        raise
    finally:
        _finish_wandb(exit_code)


def see_one_card(environ: MutableMapping[str, str]) -> None:
    """One process and several cards: the Trainer would pick DataParallel, which LLaMA-Factory refuses."""
    environ["CUDA_VISIBLE_DEVICES"] = environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]


def configured(job: TrainJob) -> dict[str, Any]:
    """The trainer's configuration with what the supervisor owns."""
    config = dict(job["document"]["config"])
    packed = config.get("packing") or config.get("neat_packing") or config.get("stage") == "pt"
    config.setdefault("include_num_input_tokens_seen", "all" if packed else "non_padding")
    config.setdefault("logging_nan_inf_filter", False)  # it replaces a NaN loss by an average, which hides it
    if not config.get("load_best_model_at_end"):
        config["save_strategy"] = "no"  # our cadence saves; the best one is among those that the trainer saves itself
    return {
        **config,
        "output_dir": job["output"],
        "overwrite_output_dir": False,
        "dataset_dir": job["data"],
        "resume_from_checkpoint": job["resume"],
        "restore_callback_states_from_checkpoint": True,  # early stopping counts on
        "save_total_limit": None,  # the supervisor clears scratch once a checkpoint is durable
        "disable_tqdm": True,
        "plot_loss": False,
    }


def _make_every_trainer_resumable(checkpoints: Checkpoints, resume: str | None) -> None:
    """LLaMA-Factory builds its trainer itself, and drops the checkpoint for reward models: `train` takes ours."""
    from transformers import Trainer

    from ftsdk.runtime.trainers.resumable import make_resumable
    from ftsdk.runtime.trainers.value_head import load_with_value_head

    train = Trainer.train

    def train_on(self: Any, resume_from_checkpoint: Any = None, **rest: Any) -> Any:
        make_resumable(self, checkpoints, resume)
        load_with_value_head(self)
        return train(self, resume_from_checkpoint=resume, **rest)

    Trainer.train = train_on


def _let_torch_load_on_numbered_cpus() -> None:
    """The Trainer restores optimizer state to `cpu:0` under DDP, a location that torch.load knows only as `cpu`."""
    import torch

    torch.serialization.register_package(
        1, lambda storage: None, lambda storage, location: storage if location.startswith("cpu:") else None
    )


def _finish_wandb(exit_code: int) -> None:
    """Tell W&B how it ended: it asks at exit only, and our process exits without an exception."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        if exit_code == contract.EXIT_INTERRUPTED:
            wandb.run.mark_preempting()
        wandb.finish(exit_code=exit_code)
