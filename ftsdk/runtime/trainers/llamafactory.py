"""Drives LLaMA-Factory through its `run_exp`, with our callbacks for metrics, cadence and interruption."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Any

from ftsdk import contract
from ftsdk.runtime.handover import TrainJob
from ftsdk.runtime.worker import InterruptedTraining, StopWish


def train(job: TrainJob, wish: StopWish) -> None:
    """Train as the job document says."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        see_one_card(os.environ)
    from llamafactory.train.tuner import run_exp

    from ftsdk.runtime.trainers.callbacks import build_callbacks

    _let_torch_load_on_numbered_cpus()
    exit_code = contract.EXIT_FAILED
    try:
        run_exp(configured(job), callbacks=build_callbacks(job, wish))
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
        config["save_strategy"] = "no"  # our cadence saves; load_best_model_at_end needs the trainer's own
    return {
        **config,
        "output_dir": job["output"],
        "overwrite_output_dir": False,
        "dataset_dir": job["data"],
        "resume_from_checkpoint": job["resume"],
        "save_total_limit": None,  # the supervisor clears scratch once a checkpoint is durable
        "disable_tqdm": True,
        "plot_loss": False,
    }


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
