"""Adds LoRA's updates to a base model file by file, in the memory of the largest file."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ftsdk.contract.foreign import JsonObject

INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
A, B = ".lora_A.weight", ".lora_B.weight"
NOT_PLAIN = ("use_dora", "lora_bias", "rank_pattern", "alpha_pattern", "trainable_token_indices", "target_parameters")
"""Settings of peft's LoRA whose update is not `scale * B @ A` with one scale."""
COPIED = ("generation_config.json", "*.py", "preprocessor_config.json", "processor_config.json")


def cannot_merge_shards(base: Path, adapter: Path) -> str:
    """Why the update cannot be added file by file; empty if it can."""
    config = json.loads((adapter / ADAPTER_CONFIG).read_bytes())
    if config.get("peft_type") != "LORA":
        return f"adapters of type {config.get('peft_type')}"
    if used := next((name for name in NOT_PLAIN if config.get(name)), None):
        return used
    if isinstance(kind := config.get("init_lora_weights"), str) and kind != "gaussian":
        return f"init_lora_weights {kind}"
    if not (adapter / ADAPTER_WEIGHTS).is_file() or not any(base.glob("*.safetensors")):
        return "weights that are not in safetensors files"
    return _misfit(_shapes(base), _names(adapter))


def merge_shards(base: Path, adapter: Path, output: Path, dtype: str) -> None:
    """Write the merged weights, the index and the configuration into a folder."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig

    number_format, total_bytes = getattr(torch, dtype), 0
    config = json.loads((adapter / ADAPTER_CONFIG).read_bytes())
    updates = load_file(adapter / ADAPTER_WEIGHTS)
    for file in sorted(base.glob("*.safetensors")):
        tensors = load_file(file)
        for name, tensor in tensors.items():
            merged = _merged(name, tensor, updates, config)
            tensors[name] = merged.to(number_format) if merged.is_floating_point() else merged
        total_bytes += sum(tensor.nbytes for tensor in tensors.values())
        save_file(tensors, output / file.name, metadata={"format": "pt"})
    _write_index(base, output, total_bytes)
    for pattern in COPIED:
        for path in base.glob(pattern):
            shutil.copyfile(path, output / path.name)
    described = AutoConfig.from_pretrained(base)
    described.dtype = number_format
    described.save_pretrained(output)


def _merged(name: str, tensor: Tensor, updates: dict[str, Tensor], config: JsonObject) -> Tensor:
    """The tensor with its update added in 32 bits, or the one that was trained in its place."""
    module = PREFIX + name.removesuffix(".weight")
    if (trained := updates.get(f"{module}.weight")) is not None:
        return trained
    if module + A not in updates:
        return tensor
    down, up = updates[module + A].float(), updates[module + B].float()
    rank = down.shape[0]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    update = scale * (up @ down)
    return tensor.float() + (update.T if config.get("fan_in_fan_out") else update)


def _write_index(base: Path, output: Path, total_bytes: int) -> None:
    if (base / INDEX).is_file():
        index = json.loads((base / INDEX).read_bytes())
        index["metadata"] = {**index.get("metadata", {}), "total_size": total_bytes}
        (output / INDEX).write_text(json.dumps(index, indent=1), "utf-8")


def _misfit(base: dict[str, list[int]], adapter: dict[str, list[int]]) -> str:
    """The first of the adapter's modules that the base's files do not have, as a reason; empty if they have all."""
    for name, shape in adapter.items():
        module = name.removeprefix(PREFIX).removesuffix(A).removesuffix(B).removesuffix(".weight")
        target = base.get(f"{module}.weight")
        if target is None:
            return f"{module} has another name in the base model's files"
        if not name.endswith((A, B)) and shape != target:
            return f"{module} has another size in the base model"
    return ""


def _shapes(base: Path) -> dict[str, list[int]]:
    return {name: shape for file in base.glob("*.safetensors") for name, shape in _header(file)}


def _names(adapter: Path) -> dict[str, list[int]]:
    return dict(_header(adapter / ADAPTER_WEIGHTS))


def _header(file: Path) -> Iterator[tuple[str, list[int]]]:
    """(name, shape) of each tensor of a safetensors file."""
    from safetensors import safe_open

    with safe_open(file, "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118
            yield name, tensors.get_slice(name).get_shape()
