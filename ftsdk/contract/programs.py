"""The configurations of ftsdk's own training programs; arguments of LLaMA-Factory and TRL keep their names.

This module travels inside the job, so it imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from ftsdk.contract.foreign import JsonObject


class ChatMessage(TypedDict):
    """A message of a chat, as chat templates take it."""

    role: str
    content: str


class CompletionChoice(TypedDict):
    """An answer; it has a `message` to a chat, and a `text` to a prompt."""

    index: int
    finish_reason: str | None
    logprobs: None
    message: NotRequired[ChatMessage]
    text: NotRequired[str]


class TokenUsage(TypedDict):
    """Tokens of a request and its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(TypedDict):
    """The answer of a model server, as OpenAI's API has it."""

    id: str
    object: str
    created: int
    model: str
    choices: NotRequired[list[CompletionChoice]]
    usage: NotRequired[TokenUsage]


class ModelSource(TypedDict):
    """The model that a program loads."""

    model_name_or_path: str
    """The base model: a folder, or an id on a hub."""
    adapter_name_or_path: NotRequired[str | None]
    model_revision: NotRequired[str]
    dtype: NotRequired[str]


class JudgeSettings(TypedDict):
    """The model that compares answers (`ftsdk.spec.program.Judge`)."""

    url: str
    model: str
    key: NotRequired[str]


class RewardSettings(TypedDict):
    """One reward of `method.rewards` (`ftsdk.spec.rewards`); each kind has some of the fields."""

    name: str
    weight: float
    extract: NotRequired[str | None]
    ignore_case: NotRequired[bool]
    pattern: NotRequired[str]
    whole: NotRequired[bool]
    tags: NotRequired[list[str]]
    max_tokens: NotRequired[int]
    soft_tokens: NotRequired[int]
    keys: NotRequired[list[str]]
    function: NotRequired[str]
    """`FILE.py:FUNCTION`, as the spec has it."""
    file: NotRequired[str]
    """Path of that file inside the job."""
    parameters: NotRequired[Mapping[str, object]]
    """The user's own keyword arguments."""


class AdapterSettings(TypedDict):
    """Adapters that the program `llamafactory` creates by peft in place of LoRA's."""

    kind: str
    """Name of the tuning; `p_tuning_v2` is `prefix`."""
    arguments: JsonObject
    """peft's own arguments."""
    warmup_share: NotRequired[float]
    """adalora: share of the steps before ranks are cut."""
    final_share: NotRequired[float]
    """adalora: share of the steps after the cuts."""


class PromptSettings(TypedDict):
    """The prompts that a program reads (`ftsdk.runtime.programs.data.prompts`)."""

    dataset: list[str]
    """Names in `dataset_info`."""
    eval_dataset: list[str]
    eval_fraction: NotRequired[float]
    max_samples: NotRequired[int]
    arguments: JsonObject
    """TRL's own arguments."""


class ReinforcementConfig(ModelSource, PromptSettings):
    """The configuration of the programs `trl` and `ppo`."""

    algorithm: Literal["grpo", "rloo", "ppo"]
    vllm: Literal["auto", "off", "colocate", "server"]
    rewards: list[RewardSettings]
    reward_model: NotRequired[ModelSource]
    peft: NotRequired[JsonObject]
    """`kind` (lora or oft), and peft's own arguments."""
    quantization: NotRequired[JsonObject]
    """transformers' `BitsAndBytesConfig`."""
