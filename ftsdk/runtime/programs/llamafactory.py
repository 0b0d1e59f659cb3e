"""Drives LLaMA-Factory through its `run_exp`, with our callbacks for metrics, cadence and interruption."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk.runtime.programs import trackers
from ftsdk.runtime.programs.heartbeat import HEARTBEAT, watch_tokenising
from ftsdk.runtime.programs.interruption import StopRequest
from ftsdk.runtime.programs.model.parts import keep_sentencepiece, use_parts_of_adapter
from ftsdk.runtime.programs.session import session
from ftsdk.runtime.worker_protocol import Phase, TrainJob

if TYPE_CHECKING:
    from transformers import Trainer
    from transformers.trainer_utils import TrainOutput

    from ftsdk.contract.foreign import JsonObject
    from ftsdk.runtime.programs.callbacks import CheckpointCallback


def train(job: TrainJob, stop: StopRequest) -> None:
    """Train as the job document says."""
    HEARTBEAT.enter(Phase.LOADING)
    with session(job["document"]):
        from llamafactory.train.tuner import run_exp

        from ftsdk.runtime.programs.callbacks import build_callbacks

        config = prepared(job)
        watch_tokenising()
        callbacks = build_callbacks(job, stop)
        _prepare_every_trainer(callbacks[0], job, config)
        run_exp(config, callbacks=list(callbacks))
        keep_sentencepiece(config, Path(job["output"]))


def prepared(job: TrainJob) -> JsonObject:
    """LLaMA-Factory ready to read the data, and its configuration: the same for a training and for its preview."""
    from ftsdk.runtime.programs.chat_template.check import with_checked_template
    from ftsdk.runtime.programs.data import examples
    from ftsdk.runtime.programs.model import adapters

    examples.install()
    adapters.install(job["document"]["config"].get("peft"))
    config = with_checked_template(configured(job), job["document"].get("contents", []))
    return use_parts_of_adapter(config)


def configured(job: TrainJob) -> JsonObject:
    """The trainer's configuration with the arguments that the supervisor sets."""
    config = {name: value for name, value in job["document"]["config"].items() if name != "peft"}
    packed = config.get("packing") or config.get("neat_packing") or config.get("stage") == "pt"
    config.setdefault("include_num_input_tokens_seen", "all" if packed else "non_padding")
    config.setdefault("logging_nan_inf_filter", False)  # it replaces a NaN loss by an average, which hides it
    if not config.get("load_best_model_at_end"):
        config["save_strategy"] = "no"  # our cadence saves; only `load_best_model_at_end` needs the trainer's own saves
    return {
        **config,
        **trackers.arguments(job["document"]),
        "output_dir": job["output"],
        "overwrite_output_dir": False,
        "dataset_dir": config.get("dataset_dir", job["data"]),  # a plan sets it only to REMOTE:…
        "resume_from_checkpoint": job["resume"],
        "restore_callback_states_from_checkpoint": True,  # early stopping continues its count
        "save_total_limit": None,  # the supervisor deletes old checkpoints once a newer one is durable
        "disable_tqdm": True,
        "plot_loss": False,
    }


def _prepare_every_trainer(checkpoints: CheckpointCallback, job: TrainJob, config: JsonObject) -> None:
    """Patch `Trainer.train`: LLaMA-Factory builds its trainer itself, and ignores the checkpoint for reward models."""
    from transformers import Trainer

    from ftsdk.runtime.programs.model import adapters
    from ftsdk.runtime.programs.model.modules import refuse_unmatched
    from ftsdk.runtime.programs.preview import learned
    from ftsdk.runtime.programs.resumable import make_resumable
    from ftsdk.runtime.programs.trained.verdict.measuring import measured
    from ftsdk.runtime.programs.value_head import load_with_value_head

    train = Trainer.train

    def train_on(self: Trainer, resume_from_checkpoint: str | None = None, **rest: object) -> TrainOutput:
        if not config.get("adapter_name_or_path"):  # an adapter brings its own targets
            refuse_unmatched(self.model, _listed(config, "lora_target"), _listed(config, "additional_target"))
        if config.get("stage") != "pt" and not config.get("packing"):
            learned.report(self, config.get("cutoff_len", 2048))
        adapters.prepare(self, job["document"]["config"].get("peft"))
        make_resumable(self, checkpoints, job["resume"])
        load_with_value_head(self)
        with_verdict = job["document"].get("verdict", True)
        with measured(self, config.get("stage", "sft"), Path(job["output"])) if with_verdict else nullcontext():
            return train(self, resume_from_checkpoint=job["resume"], **rest)

    Trainer.train = train_on


def _listed(config: JsonObject, name: str) -> list[str]:
    return [part.strip() for part in str(config.get(name) or "").split(",") if part.strip() not in ("", "all")]
