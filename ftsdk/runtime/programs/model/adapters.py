"""Adapters of peft that LLaMA-Factory does not create: in its trainers, checkpoints and resumes.

The settings are those that `ftsdk.engines.llamafactory.adapters` renders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftsdk.runtime.programs.model.modules import UnmatchedModulesError

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from torch import Tensor
    from transformers import (
        PreTrainedModel,
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )

    from ftsdk.contract.programs import AdapterSettings

CONFIGS: Mapping[str, str] = {
    "adalora": "AdaLoraConfig",
    "ia3": "IA3Config",
    "vera": "VeraConfig",
    "boft": "BOFTConfig",
    "hra": "HRAConfig",
    "loha": "LoHaConfig",
    "lokr": "LoKrConfig",
    "ln_tuning": "LNTuningConfig",
    "fourierft": "FourierFTConfig",
    "prompt": "PromptTuningConfig",
    "p_tuning": "PromptEncoderConfig",
    "prefix": "PrefixTuningConfig",
}
"""Kind of adapter -> peft's class of its configuration."""
VIRTUAL_TOKENS = ("prompt", "p_tuning", "prefix")
ENCODED = ("p_tuning", "prefix")
"""Kinds whose vectors a network may write; peft saves the vectors alone."""
ENCODER_FILE = "ftsdk_trained.safetensors"
"""Every trained parameter, in a checkpoint of such a kind."""
ANY_NUMBER_OF_STEPS = 1 << 30


def install(settings: AdapterSettings | None) -> None:
    """Let LLaMA-Factory create these adapters in place of LoRA's; call it before its trainers are imported."""
    if settings is None:
        return
    from llamafactory.model import adapter

    if settings["kind"] == "bitfit":
        adapter._setup_full_tuning = partial(_train_biases_only, adapter._setup_full_tuning)
    else:
        adapter.get_peft_model = partial(adapted, settings)


def adapted(settings: AdapterSettings, model: PreTrainedModel, lora: LoraConfig) -> PeftModel:
    """The model with new adapters, on the modules that LLaMA-Factory has chosen for LoRA."""
    import peft

    kind, given = settings["kind"], dict(settings["arguments"])
    if kind not in VIRTUAL_TOKENS:
        given = {"target_modules": lora.target_modules, "modules_to_save": lora.modules_to_save, **given}
    if kind == "adalora":
        given |= {"total_step": ANY_NUMBER_OF_STEPS, "tinit": 0, "tfinal": 0}  # set once the number of steps is known
    if given.get("prompt_tuning_init") in ("TEXT", "SAMPLE_VOCAB"):
        given["tokenizer_name_or_path"] = model.config.name_or_path
    return peft.get_peft_model(model, getattr(peft, CONFIGS[kind])(task_type="CAUSAL_LM", **given))


def _train_biases_only(original: Callable[..., None], model: PreTrainedModel, *args: object) -> None:
    """BitFit: every parameter is set up as for full tuning, then all but the biases are frozen."""
    original(model, *args)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name.endswith("bias"))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UnmatchedModulesError("tuning bitfit trains biases and the model has none; use ln_tuning or lora")


def prepare(trainer: Trainer, settings: AdapterSettings | None) -> None:
    """Let a trainer's checkpoints hold all that these adapters have learned; call it before `make_resumable`."""
    kind = settings["kind"] if settings else ""
    if kind in ENCODED:
        trainer.__class__ = type(type(trainer).__name__, (_encoded(), type(trainer)), {})
    if settings and kind == "adalora":
        _share_out_ranks(trainer, settings)


def _encoded() -> type:
    from safetensors.torch import load_file, save_file
    from torch import no_grad

    class Encoded:
        """Saves and loads every trained parameter by its name."""

        model: PreTrainedModel
        args: TrainingArguments
        state: TrainerState

        def _save_checkpoint(self, model: PreTrainedModel, trial: object) -> None:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            if self.args.should_save:
                folder = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
                save_file(
                    {name: value.detach().cpu() for name, value in self._trained().items()}, folder / ENCODER_FILE
                )

        def _load_from_checkpoint(self, checkpoint: str, *args: object) -> None:
            file = Path(checkpoint, ENCODER_FILE)
            if not file.is_file():
                super()._load_from_checkpoint(checkpoint, *args)  # type: ignore[misc]
                return
            own = self._trained()
            with no_grad():
                for name, value in load_file(file).items():
                    own[name].copy_(value)

        def _trained(self) -> dict[str, Tensor]:
            return {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    return Encoded


def _share_out_ranks(trainer: Trainer, settings: AdapterSettings) -> None:
    """AdaLoRA's ranks are cut after each optimizer step, and its scores of the weights are part of a checkpoint.

    peft's own `update_and_allocate` would also change the weights' sizes at the end of the cuts, and a checkpoint of
    these does not load into the model as it begins. The scores stand still from then on, so
    that the same ranks stay cut.
    """
    import torch

    allocator = trainer.model.base_model.rankallocator
    scores = {name: getattr(allocator, name) for name in ("ipt", "exp_avg_ipt", "exp_avg_unc")}
    for name, parameter in trainer.model.base_model.model.named_parameters():
        if "lora_" in name and allocator.adapter_name in name:
            for kept in scores.values():
                kept[name] = torch.zeros_like(parameter)
    trainer.rank_scores = scores
    trainer.add_callback(_rank_callback(trainer.model, settings))


def _rank_callback(model: Any, settings: AdapterSettings) -> TrainerCallback:
    from transformers import TrainerCallback

    allocator = model.base_model.rankallocator

    class CutsRanks(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
        ) -> None:
            config = allocator.peft_config
            config.total_step = state.max_steps
            config.tinit = int(settings["warmup_share"] * state.max_steps)
            config.tfinal = int(settings["final_share"] * state.max_steps)

        def on_optimizer_step(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
        ) -> None:
            allocator.update_and_allocate(model.base_model.model, state.global_step)

    return CutsRanks()
