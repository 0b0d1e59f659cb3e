"""Drives LLaMA-Factory through its `run_exp`, with our callbacks for metrics, cadence and interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftsdk.runtime.programs.session import session
from ftsdk.runtime.programs.worker import StopWish
from ftsdk.runtime.worker_protocol import TrainJob

if TYPE_CHECKING:
    from ftsdk.runtime.programs.callbacks import Checkpoints


def train(job: TrainJob, wish: StopWish) -> None:
    """Train as the job document says."""
    with session():
        from llamafactory.train.tuner import run_exp

        from ftsdk.runtime.programs.callbacks import build_callbacks

        ours = build_callbacks(job, wish)
        _make_every_trainer_resumable(ours[0], job["resume"])
        run_exp(configured(job), callbacks=list(ours))


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
        "dataset_dir": config.get("dataset_dir", job["data"]),  # REMOTE:… is the only one that a plan names
        "resume_from_checkpoint": job["resume"],
        "restore_callback_states_from_checkpoint": True,  # early stopping counts on
        "save_total_limit": None,  # the supervisor clears scratch once a checkpoint is durable
        "disable_tqdm": True,
        "plot_loss": False,
    }


def _make_every_trainer_resumable(checkpoints: Checkpoints, resume: str | None) -> None:
    """LLaMA-Factory builds its trainer itself, and drops the checkpoint for reward models: `train` takes ours."""
    from transformers import Trainer

    from ftsdk.runtime.programs.resumable import make_resumable
    from ftsdk.runtime.programs.value_head import load_with_value_head

    train = Trainer.train

    def train_on(self: Any, resume_from_checkpoint: Any = None, **rest: Any) -> Any:
        make_resumable(self, checkpoints, resume)
        load_with_value_head(self)
        return train(self, resume_from_checkpoint=resume, **rest)

    Trainer.train = train_on
