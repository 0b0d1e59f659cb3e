"""LLaMA-Factory's own templates, as texts of the probe conversations; from the installed release."""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING

from ftsdk.runtime.chat_templates.comparing import BOS, EOS, NamedTemplate
from ftsdk.runtime.chat_templates.probes import PROBES, Probe, ProbeMessage
from ftsdk.runtime.chat_templates.rendering import DATE

if TYPE_CHECKING:
    from datetime import datetime

    from llamafactory.data.template import Template

    from ftsdk.contract.programs import ChatMessage

MEDIA = ("image", "video", "audio")
THOUGHT_WORDS = ["<think>", "</think>"]
"""Around the thoughts of most templates."""


def fix_clock() -> None:
    """Let LLaMA-Factory's tool prompts (format `llama3`) name a fixed day: today's would change what is trained."""
    from llamafactory.data import tool_utils

    class FixedDay:
        @staticmethod
        def now() -> datetime:
            return DATE

    tool_utils.datetime = FixedDay


def read_templates() -> dict[str, NamedTemplate]:
    """Every template of the installed LLaMA-Factory."""
    from llamafactory.data.template import TEMPLATES

    fix_clock()
    return {name: _described(template) for name, template in sorted(TEMPLATES.items())}


def _described(template: Template) -> NamedTemplate:
    from llamafactory.data.template import ReasoningTemplate

    plain = copy(template)
    plain.default_system = ""
    words = [word.strip() for word in template.thought_words]
    tokens = {kind: getattr(template.mm_plugin, f"{kind}_token", None) for kind in MEDIA}
    return NamedTemplate(
        texts={name: _composed(plain, probe) for name, probe in PROBES.items()},
        default_system=template.default_system,
        media_tokens={kind: token for kind, token in tokens.items() if token},
        efficient_eos=template.efficient_eos,
        stop_words=tuple(template.stop_words),
        removes_thoughts=isinstance(template, ReasoningTemplate) and words == THOUGHT_WORDS,
    )


def _composed(template: Template, probe: Probe) -> str | None:
    """The text of a conversation; None if the template fails on it."""
    tokenizer = _TextTokenizer(template.stop_words[0] if template.replace_eos else EOS)
    tools = json.dumps(probe.tools, ensure_ascii=False) if probe.tools else None
    messages = [_message(message) for message in probe.turns]
    try:
        pairs = template.encode_multiturn(tokenizer, messages, probe.system, tools)
    except Exception:  # some tool formats are not implemented
        return None
    text = "".join(piece for pair in pairs for pieces in pair for piece in pieces)
    return text + tokenizer.eos_token if template.efficient_eos else text


def _message(message: ProbeMessage) -> ChatMessage:
    """A message in LLaMA-Factory's form."""
    if message.get("tool_calls"):
        return {"role": "function", "content": json.dumps(message["tool_calls"][0]["function"], ensure_ascii=False)}
    return {"role": "observation" if message["role"] == "tool" else message["role"], "content": message["content"]}


class _TextTokenizer:
    """A tokenizer whose tokens are the texts themselves."""

    bos_token_id = bos_token = BOS

    def __init__(self, eos: str) -> None:
        self.eos_token_id = self.eos_token = eos

    def encode(self, text: str, add_special_tokens: bool = False) -> list[str]:
        return [text]

    def convert_tokens_to_ids(self, token: str) -> str:
        return token
