"""Rewards: what an answer earns in reinforcement learning. Built-ins by name, or a function in a file of the user's."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from ftsdk.spec.base import Part


class Weighted(Part):
    """What all rewards share."""

    weight: float = 1.0
    """Factor of this reward in the sum; a negative one punishes."""


class ExactMatch(Weighted):
    """1 if the answer is the reference in the data's `answer` column, else 0; spaces around both do not count."""

    name: Literal["exact_match"] = "exact_match"
    extract: str | None = None
    """Regular expression that finds the answer in the text (its first group, or the whole match; the last one counts),
    e.g. `<answer>(.*?)</answer>`; without it the whole text is the answer."""
    ignore_case: bool = False
    """Take upper and lower case for the same."""


class MathAnswer(Weighted):
    """1 if the answer's last mathematical expression equals the `answer` column's (`1/2` equals `0.5`), else 0."""

    name: Literal["math_answer"] = "math_answer"


class Regex(Weighted):
    """1 if a regular expression is found in the answer, else 0."""

    name: Literal["regex"] = "regex"
    pattern: str = Field(min_length=1)
    """Python's `re`; the dot matches line ends too."""
    whole: bool = False
    """Match the whole answer, spaces around it aside."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return compiled(pattern)


class Format(Weighted):
    """1 if the answer is nothing but these tags in this order, each opened and closed once, else 0."""

    name: Literal["format"] = "format"
    tags: tuple[str, ...] = Field(default=("think", "answer"), min_length=1, strict=False)
    """Names of the tags; the default is DeepSeek-R1's form (arXiv:2501.12948, table 1)."""


class Length(Weighted):
    """0 for an answer that leaves `soft_tokens` free, falling evenly to -1 at `max_tokens`, -1 beyond.

    DAPO's soft overlong punishment (arXiv:2503.14476, equation 13).
    """

    name: Literal["length"] = "length"
    max_tokens: int = Field(ge=1)
    """Tokens at which an answer is too long."""
    soft_tokens: int = Field(default=0, ge=0)
    """Width of the zone before `max_tokens` in which the punishment grows."""

    @model_validator(mode="after")
    def _zone_fits(self) -> Length:
        if self.soft_tokens > self.max_tokens:
            raise ValueError("soft_tokens cannot be more than max_tokens")
        return self


class Json(Weighted):
    """1 if the answer is JSON (a fenced block around it is allowed), else 0."""

    name: Literal["json"] = "json"
    keys: tuple[str, ...] = Field(default=(), strict=False)
    """Keys that the JSON must hold as an object."""


class OwnFunction(Weighted):
    """A Python function of yours: `FILE.py:FUNCTION`. In YAML `reward.py:score` is the same as `{function: …}`."""

    name: Literal["function"] = "function"
    function: str = Field(pattern=r"^.+\.py:[A-Za-z_]\w*$")
    """`FILE.py:FUNCTION`; the file and the neighbours that it imports are staged with the job. See docs/methods/rl.md
    for what it is called with."""
    parameters: dict[str, object] = Field(default={})
    """More keyword arguments for each call."""

    @property
    def path(self) -> str:
        """The file, as written."""
        return self.function.rpartition(":")[0]


Reward = Annotated[ExactMatch | MathAnswer | Regex | Format | Length | Json | OwnFunction, Field(discriminator="name")]
REWARDS: tuple[str, ...] = tuple(kind.model_fields["name"].default for kind in get_args(get_args(Reward)[0]))
NEED_ANSWERS = (ExactMatch, MathAnswer)
"""Rewards that compare with the data's `answer` column."""


def compiled(pattern: str) -> str:
    """The pattern itself if it is a regular expression. Raises ValueError."""
    import re

    try:
        re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"{pattern!r} is no regular expression ({problem})") from None
    return pattern


def expanded(reward: object) -> object:
    """The short forms: a built-in's name, or `FILE.py:FUNCTION`."""
    if isinstance(reward, str):
        return {"function": reward, "name": "function"} if ".py:" in reward else {"name": reward}
    if isinstance(reward, dict) and "function" in reward:
        return {"name": "function", **reward}
    return reward
