"""What all parts of a spec share: frozen, strict, keyword-only, documented by attribute docstrings."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


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
