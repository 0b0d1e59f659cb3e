"""Hyperparameters: the names are LLaMA-Factory's and transformers'."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from ftsdk.spec.base import Part, Steps


class Hyperparameters(Part):
    """The most common hyperparameters, typed; every other argument of the trainer passes through by its own name."""

    model_config = ConfigDict(extra="allow")

    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; the default depends on the tuning (1e-4 for adapters, 1e-5 for full and freeze)."""
    num_train_epochs: Annotated[float, Field(gt=0)] | Literal["auto"] = 3.0
    """Passes over the data; `auto` goes by the number of rows (100 rows: 15, 1,000: 10, 10,000: 2; a rule of thumb)."""
    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; overrides the epochs."""
    per_device_train_batch_size: int = Field(default=1, ge=1)
    """Rows per device and micro-step."""
    per_device_eval_batch_size: int | None = Field(default=None, ge=1)
    """Rows per device in evaluation; the training's size if left out."""
    gradient_accumulation_steps: int = Field(default=8, ge=1)
    """Micro-steps per optimizer step. Global batch = this × per_device_train_batch_size × devices."""
    cutoff_len: int = Field(default=2048, ge=1)
    """Tokens of a row; what is longer is cut."""
    lr_scheduler_type: str = "cosine"
    """Shape of the learning rate over time (a transformers scheduler name)."""
    warmup_ratio: float | None = Field(default=None, ge=0, le=1)
    """Share of the steps in which the learning rate rises; 0.1 if neither this nor warmup_steps is given."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps in which the learning rate rises."""
    weight_decay: float | None = Field(default=None, ge=0)
    """AdamW's weight decay; the trainer's default is 0."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Gradients are scaled down to this norm; 0 leaves them as they are."""
    optim: str | None = None
    """Optimizer (a transformers name, e.g. adamw_torch, adamw_8bit)."""
    bf16: bool | None = None
    """Train in bfloat16; left out: where the accelerator can, never on a CPU."""
    fp16: bool | None = None
    """Train in float16 with loss scaling, for cards without bfloat16."""
    gradient_checkpointing: bool = True
    """Recompute activations in the backward pass: less memory, about a third more time."""
    packing: bool | None = None
    """Fill each row of cutoff_len tokens with several examples."""
    neat_packing: bool | None = None
    """Packing in which examples do not see each other."""
    template: str | None = None
    """LLaMA-Factory chat template; left out: the model's own chat template."""
    seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of weights, order and dropout."""
    logging_steps: Steps = 10
    """Steps between two metric lines; below 1 a share of all steps."""
    save_steps: Steps | None = None
    """Steps between checkpoints; the same as checkpoint.every_steps."""
    eval_strategy: Literal["no", "steps", "epoch"] | None = None
    """When held-out rows are evaluated; left out: each epoch if there are any."""
    eval_steps: Steps | None = None
    """Steps between two evaluations; below 1 a share of all steps. Needs `eval_strategy: steps`, its default then."""
    eval_on_start: bool | None = None
    """Evaluate once before the first step."""

    @model_validator(mode="after")
    def _one_warmup(self) -> Hyperparameters:
        if self.warmup_steps and self.warmup_ratio:
            raise ValueError("give warmup_steps or warmup_ratio, not both")
        return self

    @property
    def epochs(self) -> float:
        """`num_train_epochs` as a number; 3 for `auto` if the number of rows is unknown."""
        return 3.0 if self.num_train_epochs == "auto" else self.num_train_epochs

    @property
    def passed_through(self) -> dict[str, object]:
        """Arguments that are not typed here, by the trainer's own names."""
        return dict(self.model_extra or {})
