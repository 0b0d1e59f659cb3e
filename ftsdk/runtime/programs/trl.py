"""Drives TRL's GRPOTrainer and RLOOTrainer, with our callbacks for metrics, cadence and interruption."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ftsdk.runtime.programs import trackers
from ftsdk.runtime.programs.heartbeat import HEARTBEAT, heartbeat_callback, watch_tokenising
from ftsdk.runtime.programs.interruption import StopRequest
from ftsdk.runtime.programs.model.parts import keep_sentencepiece
from ftsdk.runtime.programs.session import session
from ftsdk.runtime.worker_protocol import Phase, TrainJob

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch.utils.data import RandomSampler
    from transformers import (
        PreTrainedModel,
        PreTrainedTokenizerBase,
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )

    from ftsdk.contract.foreign import JsonObject
    from ftsdk.contract.programs import ModelSource, ReinforcementConfig

VOCABULARY_MULTIPLE = 64
"""LLaMA-Factory pads a grown vocabulary to it, and an adapter's embeddings have that size."""
OLDEST = "1."
"""Prefix of the TRL versions that have the arguments that ftsdk renders."""


def train(job: TrainJob, stop: StopRequest) -> None:
    """Train as the job document says."""
    HEARTBEAT.enter(Phase.LOADING)
    with session(job["document"]):
        from ftsdk.runtime.programs.generations import RewardMetricsCallback, SamplingCheckpointCallback
        from ftsdk.runtime.programs.model.modules import refuse_unmatched
        from ftsdk.runtime.programs.resumable import make_resumable

        checkpoints = SamplingCheckpointCallback(job, stop)
        watch_tokenising()
        trainer = build(job, [checkpoints, RewardMetricsCallback(job), heartbeat_callback()])
        refuse_unmatched(trainer.model, _named_targets(config_of(job)), ())
        make_resumable(trainer, checkpoints, job["resume"])
        trainer.train(resume_from_checkpoint=job["resume"])
        trainer.save_model(job["output"])
        keep_sentencepiece(job["document"]["config"], Path(job["output"]))


def config_of(job: TrainJob) -> ReinforcementConfig:
    """The configuration that `ftsdk.engines.trl` renders."""
    return cast("ReinforcementConfig", job["document"]["config"])


def build(job: TrainJob, callbacks: list[TrainerCallback]) -> Trainer:
    """The trainer, ready to train."""
    import trl

    from ftsdk.runtime.programs import rewards
    from ftsdk.runtime.programs.data import prompts

    if not trl.__version__.startswith(OLDEST):
        raise ImportError(
            f"This environment's TRL is {trl.__version__}: run `make setup`, which lays the lock `rl` over "
            f"LLaMA-Factory's, or give an interpreter or image with TRL 1.16."
        )
    config = config_of(job)
    tokenizer = tokenizer_of(config)
    train_rows, held_out = prompts.read(job["document"], chat=tokenizer.chat_template is not None)
    return _resumable(getattr(trl, f"{config['algorithm'].upper()}Trainer"))(
        model=_model(config),
        reward_funcs=[rewards.Reward(settings) for settings in config["rewards"]],
        args=arguments(job),
        train_dataset=train_rows,
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=None if config.get("adapter_name_or_path") else peft_config(config),
        callbacks=callbacks,
    )


def arguments(job: TrainJob) -> TrainingArguments:
    """TRL's own configuration, with the arguments that the supervisor sets."""
    import trl

    config = config_of(job)
    arguments = config["arguments"]
    return getattr(trl, f"{config['algorithm'].upper()}Config")(
        **{
            **arguments,
            **trackers.arguments(job["document"]),
            "output_dir": job["output"],
            "save_strategy": "no",  # our cadence saves
            "disable_tqdm": True,
            "logging_nan_inf_filter": False,
            "model_init_kwargs": model_arguments(config) | (arguments.get("model_init_kwargs") or {}),
            **vllm_arguments(config),
        }
    )


def vllm_arguments(config: ReinforcementConfig) -> dict[str, bool | str]:
    """Whether vLLM samples: `auto` uses it where CUDA and the package are available."""
    mode: str = config["vllm"]
    if mode == "auto":
        import torch

        mode = "colocate" if torch.cuda.is_available() and find_spec("vllm") else "off"
    return {"use_vllm": False} if mode == "off" else {"use_vllm": True, "vllm_mode": mode}


def model_arguments(config: ReinforcementConfig) -> JsonObject:
    """Arguments with which the base model is loaded."""
    from transformers import BitsAndBytesConfig

    quantization = config.get("quantization")
    return {
        "dtype": config["dtype"],
        **({"revision": config["model_revision"]} if config.get("model_revision") else {}),
        **({"quantization_config": BitsAndBytesConfig(**quantization)} if quantization else {}),
    }


def peft_config(config: ReinforcementConfig) -> PeftConfig | None:
    """peft's configuration of new adapters; None if all weights are trained."""
    import peft

    settings = dict(config.get("peft") or {})
    if not settings:
        return None
    kind = {"lora": peft.LoraConfig, "oft": peft.OFTConfig}[settings.pop("kind")]
    return kind(task_type="CAUSAL_LM", **settings)


def _named_targets(config: ReinforcementConfig) -> list[str]:
    """Modules that the spec names for new adapters; none where it names all, or continues an adapter."""
    targets = (config.get("peft") or {}).get("target_modules")
    return targets if isinstance(targets, list) and not config.get("adapter_name_or_path") else []


def tokenizer_of(config: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer that samples and trains."""
    from transformers import AutoTokenizer

    source = config.get("adapter_name_or_path") or config["model_name_or_path"]
    tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", revision=config.get("model_revision"))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _model(config: ReinforcementConfig) -> str | PreTrainedModel:
    """A name for TRL to load, or a loaded model whose adapter is trained further or merged."""
    adapter = config.get("adapter_name_or_path")
    if adapter is None:
        return config["model_name_or_path"]
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(config["model_name_or_path"], **model_arguments(config))
    vocabulary = len(tokenizer_of(config))
    if vocabulary > base.get_input_embeddings().num_embeddings:  # tokens that an earlier training added
        base.resize_token_embeddings(vocabulary, pad_to_multiple_of=VOCABULARY_MULTIPLE)
    adapted = PeftModel.from_pretrained(base, adapter, is_trainable=bool(config.get("peft")))
    return adapted if config.get("peft") else adapted.merge_and_unload()


def _resumable(trainer: type[Trainer]) -> type[Trainer]:
    """The trainer with a sampler that continues where it stopped: TRL's would repeat the first epoch's order."""
    import torch
    from transformers import TrainerCallback

    from ftsdk.runtime.programs.resumable import Resumable

    class SkipPastEpochs(TrainerCallback):  # type: ignore[misc]
        def __init__(self, sampler: RandomSampler) -> None:
            self._sampler = sampler

        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
        ) -> None:
            if self._sampler.shuffle:
                for _epoch in range(int((state.epoch or 0) + 1e-6)):
                    torch.randperm(self._sampler.num_samples, generator=self._sampler.generator)

    class Sampling(Resumable, trainer):  # type: ignore[misc]
        carried = (*Resumable.carried, "entropy_coef", "_last_world_entropy")

        def _get_train_sampler(self, *args: object) -> RandomSampler:
            sampler = super()._get_train_sampler(*args)
            self.add_callback(SkipPastEpochs(sampler))
            return sampler

    Sampling.__name__ = trainer.__name__
    return Sampling
