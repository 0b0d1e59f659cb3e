"""The names of a model's modules, from the headers of its safetensors files.

Format: eight bytes with the header's length (little endian), then a JSON object: tensor name -> dtype, shape, offsets
(https://huggingface.co/docs/safetensors). Nothing but the headers is read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

MAX_HEADER_BYTES: Final = 100_000_000
"""The format's own limit."""
MAX_FILES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelModules:
    """The modules that hold a model's weights, by their paths, such as `model.layers.0.self_attn.q_proj`."""

    names: tuple[str, ...]
    """Every module with a weight, sorted."""
    matrices: frozenset[str]
    """Those whose weight has two or more dimensions, quantised ones included."""


class TensorHeader(TypedDict):
    """A tensor in a safetensors file's header."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]
    """Begin and end, in bytes behind the header."""


def read_modules(folder: Path) -> ModelModules | None:
    """The modules in a folder's safetensors files; None if there are none, or if one cannot be read."""
    files = sorted(folder.glob("*.safetensors"))
    if not files or len(files) > MAX_FILES:
        return None
    try:
        return modules_of(item for file in files for item in read_header(file).items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_header(file: Path) -> dict[str, TensorHeader]:
    """Tensor name -> dtype and shape. Raises OSError and ValueError."""
    with file.open("rb") as stream:
        prefix = stream.read(8)
        if len(prefix) < 8:
            raise ValueError(f"{file} is too short for a safetensors file")
        (length,) = struct.unpack("<Q", prefix)
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"{file} has a header of {length} bytes")
        header: dict[str, TensorHeader] = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    return header


def modules_of(tensors: Iterable[tuple[str, TensorHeader]]) -> ModelModules:
    """The modules that these tensors belong to."""
    names, matrices = set(), set()
    for name, tensor in tensors:
        module, _, parameter = name.rpartition(".")
        names.add(module)
        if len(tensor["shape"]) >= 2 and parameter != "bias":
            matrices.add(module)
    return ModelModules(names=tuple(sorted(names)), matrices=frozenset(matrices))


def ends_within(file: Path, header: Mapping[str, TensorHeader]) -> bool:
    """Whether a safetensors file is as long as its header says; one that was cut off while copying is not."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
    ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
    return bool(file.stat().st_size == 8 + length + max(ends, default=0))
