"""Sharding: how the state of the training is spread over the accelerators."""

from __future__ import annotations

from typing import Literal, get_args

from ftsdk.spec.base import Part

ShardingType = Literal["ddp", "zero0", "zero1", "zero2", "zero3", "fsdp"]
SHARDINGS: tuple[str, ...] = get_args(ShardingType)


class Sharding(Part):
    """How the state is spread. In YAML a bare name (`sharding: zero3`) is the same as `{type: zero3}`."""

    type: ShardingType = "ddp"
    """ddp: every accelerator holds all of it. DeepSpeed's zero1 splits the optimizer, zero2 the gradients too, zero3
    and PyTorch's fsdp the weights too; zero0 is DeepSpeed without splitting."""
    offload: bool = False
    """Keep optimizer state (zero1 to zero3) and weights (zero3, fsdp) in main memory: slower, and far less of the
    accelerator's memory."""
