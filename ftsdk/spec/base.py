"""What all parts of a spec share: frozen, strict, documented by attribute docstrings, and limits to its size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ftsdk.errors import SpecError, on_one_line

MAX_NODES: Final = 20_000
"""Values in a spec, with everything that is named several times counted each time."""
MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**63 - 1


class Part(BaseModel):
    """A frozen value that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


def _whole_or_share(steps: float) -> float:
    if steps > 1 and steps != int(steps):
        raise ValueError("give a whole number of steps, or a number below 1 for a share of all steps")
    return steps


Steps = Annotated[int | float, Field(gt=0), AfterValidator(_whole_or_share)]
"""A number of optimizer steps, or, below 1, a share of all steps of the training, as transformers takes it."""


def plain(value: Any) -> Any:
    """Parts given as objects as the data they were made from, mappings and lists as copies, other values as they are.

    Raises SpecError for a number that is infinite or no number or has more than 64 bits, and for data with more than
    MAX_NODES values or MAX_DEPTH levels.
    """
    return _Plain().of(value, ())


class _Plain:
    def __init__(self) -> None:
        self._count = 0

    def of(self, value: object, path: tuple[str, ...]) -> object:
        self._count += 1
        if self._count > MAX_NODES or len(path) > MAX_DEPTH:
            what = f"{MAX_NODES} values" if self._count > MAX_NODES else f"{MAX_DEPTH} levels"
            raise SpecError(f"{_place(path[:3])}: a spec has at most {what}.")
        if isinstance(value, BaseModel):
            return value.model_dump(exclude_unset=False)
        if isinstance(value, Mapping):
            return {str(key): self.of(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, (*path, str(number))) for number, item in enumerate(value)]
        if isinstance(value, int | float) and (problem := _problem(value)):
            raise SpecError(f"{_place(path) or 'the spec'}: {problem}.")
        return value


def _place(path: tuple[str, ...]) -> str:
    return ".".join(map(on_one_line, path))


def _problem(number: float) -> str:
    if isinstance(number, float):
        return "" if math.isfinite(number) else "write a finite number"
    return "" if abs(number) <= MAX_INTEGER else "an integer has at most 64 bits"
