"""A reward of one's own, for grpo.yaml. It is staged with the job as it is here, without the files beside it."""

from __future__ import annotations

from typing import Any

LONGEST = 400


def brevity(prompts: list[Any], completions: list[str], **columns: list[Any]) -> list[float | None]:
    """1 for an empty answer, falling to 0 at 400 characters; no opinion about an answer without a digit.

    Called with one entry per answer: the prompts as in the data, the answers' text, and each other column of the data
    under its own name (here `answer`).
    """
    return [max(0.0, 1 - len(text) / LONGEST) if any(char.isdigit() for char in text) else None for text in completions]
