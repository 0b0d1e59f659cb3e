"""The formats of a training row: their roles, the methods that can train on them, and the usual names of columns.

A *role* is what a column means (prompt, response, messages, chosen …); the names are those of LLaMA-Factory's
dataset_info.json (0.9.5, `data/parser.py`) and `answer`, which only the reinforcement methods read. A *column* is
the name of a field in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PAIR_METHODS = ("rm", "dpo", "ipo", "orpo", "simpo")
PROMPT_METHODS = ("ppo", "grpo", "dapo", "gspo", "dr_grpo", "cispo", "sapo", "rloo")
_COMMON = ("system", "tools", "images", "videos", "audios")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatInfo:
    """One shape of a row: the roles it needs, the roles it may have, and the methods that can train on it."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    methods: tuple[str, ...]
    meaning: str


def _format(name: str, required: str, optional: tuple[str, ...], methods: tuple[str, ...], meaning: str) -> FormatInfo:
    return FormatInfo(name=name, required=tuple(required.split()), optional=optional, methods=methods, meaning=meaning)


FORMATS: Mapping[str, FormatInfo] = MappingProxyType(
    {
        f.name: f
        for f in (
            _format("alpaca", "prompt response", ("query", "history", *_COMMON), ("sft", "ppo"),
                    "instruction and answer"),
            _format("sharegpt", "messages", _COMMON, ("sft", "ppo"), "a chat of {from, value} turns"),
            _format("openai", "messages", _COMMON, ("sft", "ppo"), "a chat of {role, content} turns"),
            _format("preference", "chosen rejected", ("prompt", "query", "messages", "history", *_COMMON),
                    PAIR_METHODS, "a prompt with a better and a worse answer"),
            _format("kto", "kto_tag", ("prompt", "query", "response", "messages", "history", *_COMMON), ("kto",),
                    "a prompt and an answer that is marked good or bad"),
            _format("text", "prompt", (), ("pt",), "plain text"),
            _format("prompts", "", ("prompt", "query", "messages", "answer", *_COMMON), PROMPT_METHODS,
                    "prompts that the model answers itself"),
        )
    }
)  # fmt: skip

# What columns are called in people's data sets, in order of preference. Compared without regard to case.
SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prompt": ("instruction", "prompt", "question", "query", "problem", "input"),
        "query": ("input", "context"),
        "response": ("output", "response", "completion", "answer", "solution"),
        "messages": ("conversations", "messages", "conversation", "dialog", "dialogue", "chat"),
        "chosen": ("chosen", "chosen_response", "preferred_output", "preferred", "accepted", "response_chosen"),
        "rejected": (
            "rejected", "rejected_response", "non_preferred_output", "non_preferred", "dispreferred",
            "response_rejected",
        ),
        "kto_tag": ("kto_tag", "label"),
        "text": ("text", "content", "document", "raw_content"),
        "answer": ("answer", "solution", "ground_truth", "reference", "reference_answer", "output", "response"),
        "history": ("history",),
        "system": ("system", "system_prompt"),
        "tools": ("tools",),
        "images": ("images", "image"),
        "videos": ("videos", "video"),
        "audios": ("audios", "audio"),
    }
)  # fmt: skip

SHAREGPT_TAGS: Mapping[str, str] = MappingProxyType(
    {
        "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
        "observation_tag": "observation", "function_tag": "function_call", "system_tag": "system",
    }
)  # fmt: skip
OPENAI_TAGS: Mapping[str, str] = MappingProxyType(
    {
        "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
        "observation_tag": "tool", "function_tag": "function_call", "system_tag": "system",
    }
)  # fmt: skip
USUAL_COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
        "sharegpt": {"messages": "conversations"},
        "openai": {"messages": "messages"},
        "preference": {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
        "kto": {"prompt": "prompt", "response": "completion", "kto_tag": "label"},
        "text": {"prompt": "text"},
        "prompts": {"prompt": "prompt", "answer": "answer"},
    }
)
ROLE_KEYS = ("role", "from", "speaker")
CONTENT_KEYS = ("content", "value", "text")
ROLE_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "user_tag": ("user", "human", "prompter"),
        "assistant_tag": ("assistant", "gpt", "bot", "model", "chatgpt"),
        "observation_tag": ("tool", "observation"),
        "function_tag": ("function_call",),
        "system_tag": ("system",),
    }
)
