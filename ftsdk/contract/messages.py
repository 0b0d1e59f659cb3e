"""What rows and messages say beside their content: whether an answer is learned, thoughts, weights of rows."""

from __future__ import annotations

from collections.abc import Mapping

SWITCHES = ("weight", "loss", "train")
"""Keys that say whether an answer is learned: OpenAI's `weight` (0 or 1), `loss` and `train` (true or false)."""
ROW_WEIGHTS = ("weight", "sample_weight", "loss_weight")
"""Columns that weigh a whole row, which no trainer here does."""
THOUGHTS = ("reasoning_content", "thinking", "reasoning")
"""Keys that hold the model's thoughts before its answer."""


def is_learned(message: Mapping[str, object]) -> bool:
    """Whether an answer is part of the loss. Raises ValueError for a value that is neither yes nor no."""
    for key in SWITCHES:
        value = message.get(key)
        if value is None:
            continue
        if value not in (0, 1) or isinstance(value, str):
            raise ValueError(f"has the {key} {value!r}; give 0 or 1, false or true")
        if not value:
            return False
    return True


def thought_of(message: Mapping[str, object]) -> str:
    """The thoughts before an answer; empty without any. Raises ValueError if they are not text."""
    for key in THOUGHTS:
        value = message.get(key)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"has a {key} that is not text")
        if value and value.strip():
            return value
    return ""
