"""Resuming a model with a value head (reward models), which LLaMA-Factory 0.9.5 refuses or does incompletely.

Its checkpoint holds the inner model as that model saves itself (weights or an adapter) and a separate value head. The
Trainer would look for the parameter names of the outer model and, not being strict, silently load nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

FILE = "value_head.safetensors"


def load_with_value_head(trainer: Trainer) -> None:
    """Make a trainer whose model has a value head load its checkpoints in two parts; others are unchanged."""
    if not hasattr(trainer.model, "v_head"):
        return
    load_inner = trainer._load_from_checkpoint

    def load(resume_from_checkpoint: str, model: PreTrainedModel | None = None) -> None:
        from safetensors.torch import load_file

        whole = trainer.model if model is None else model
        load_inner(resume_from_checkpoint, model=whole.pretrained_model)
        head = load_file(Path(resume_from_checkpoint, FILE))
        whole.v_head.load_state_dict({name.removeprefix("v_head."): value for name, value in head.items()})

    trainer._load_from_checkpoint = load
