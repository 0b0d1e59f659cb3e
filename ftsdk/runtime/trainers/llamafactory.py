"""Drives LLaMA-Factory through its `run_exp`, with our callbacks for metrics, cadence and interruption."""

from __future__ import annotations

from typing import Any

from ftsdk.runtime.handover import TrainJob
from ftsdk.runtime.trainers.session import session
from ftsdk.runtime.worker import StopWish


def train(job: TrainJob, wish: StopWish) -> None:
    """Train as the job document says."""
    with session():
        from llamafactory.train.tuner import run_exp

        from ftsdk.runtime.trainers.callbacks import build_callbacks

        run_exp(configured(job), callbacks=build_callbacks(job, wish))


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
