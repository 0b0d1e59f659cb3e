"""The fixed conversations on which a chat template and LLaMA-Factory's composition are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict

SYSTEM, QUESTION, ANSWER, THOUGHT = "probe system", "probe question", "probe answer", "probe thought"
TOOL, CALLED_WITH, RESULT = "probe_tool", "probe city", "probe result"
PLACEHOLDER = "{{content}}"
"""The text that LLaMA-Factory's own parser of chat templates puts into messages."""

_ARGUMENTS = {"city": CALLED_WITH}
_FUNCTION = {
    "name": TOOL,
    "description": "probe description",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class ProbeCall(TypedDict):
    """A call of the probe's tool."""

    id: str
    type: str
    function: Mapping[str, object]


class ProbeMessage(TypedDict):
    """A message in OpenAI's form."""

    role: str
    content: str
    tool_calls: NotRequired[list[ProbeCall]]
    name: NotRequired[str]
    tool_call_id: NotRequired[str]


Messages = list[ProbeMessage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A conversation in OpenAI's form."""

    messages: Messages
    tools: tuple[Mapping[str, object], ...] = ()
    generates: bool = False
    """Whether the text ends with the beginning of the next answer."""

    @property
    def system(self) -> str:
        """Its system prompt; empty without one."""
        return str(self.messages[0]["content"]) if self.messages[0]["role"] == "system" else ""

    @property
    def turns(self) -> Messages:
        """Its messages without the system prompt."""
        return self.messages[1:] if self.system else self.messages


def _message(role: str, content: str) -> ProbeMessage:
    return {"role": role, "content": content}


_TURN = [_message("user", QUESTION), _message("assistant", ANSWER)]
_TURNS = [*_TURN, _message("user", "second question"), _message("assistant", "second answer")]
_CALL: ProbeCall = {"id": "probe00id", "type": "function", "function": {"name": TOOL, "arguments": _ARGUMENTS}}
_WITH_CALL: Messages = [
    _message("user", QUESTION),
    {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    {"role": "tool", "content": RESULT, "name": TOOL, "tool_call_id": "probe00id"},
    _message("assistant", ANSWER),
]
_ASKED = [_message("system", SYSTEM)]
_TOOLS = ({"type": "function", "function": _FUNCTION},)

PROBES = {
    "one": Probe(messages=_TURN),
    "turns": Probe(messages=_TURNS),
    "system": Probe(messages=[*_ASKED, *_TURN]),
    "system_turns": Probe(messages=[*_ASKED, *_TURNS]),
    "thought": Probe(
        messages=[_message("user", QUESTION), _message("assistant", f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}")]
    ),
    "system_thought": Probe(
        messages=[
            *_ASKED,
            _message("user", QUESTION),
            _message("assistant", f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"),
        ]
    ),
    "tools": Probe(messages=_WITH_CALL, tools=_TOOLS),
    "system_tools": Probe(messages=[*_ASKED, *_WITH_CALL], tools=_TOOLS),
}
"""Compared: name -> conversation. `system_NAME` (`system` for `one`) is the same with a system prompt."""

PARSER_PROBES = {
    "parser_system": Probe(messages=[_message("system", PLACEHOLDER)]),
    "parser_empty_system": Probe(messages=[_message("system", ""), _message("user", PLACEHOLDER)], generates=True),
    "parser_user": Probe(messages=[_message("user", PLACEHOLDER)], generates=True),
    "parser_answer": Probe(messages=[_message("user", PLACEHOLDER), _message("assistant", PLACEHOLDER)]),
}
"""What LLaMA-Factory 0.9.5 renders to read a template (`parse_template` in its `data/template.py`)."""


def with_system(name: str) -> str:
    """The name of the same conversation with a system prompt."""
    return "system" if name == "one" else f"system_{name}"
