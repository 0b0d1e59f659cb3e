"""What is right and wrong about the messages of a chat, message by message."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

from ftsdk.contract.messages import SWITCHES, is_learned, thought_of

Fault = tuple[str, str]
"""(code, message)"""

_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_FILLERS = (
    "\u2800\u3164\ufe0f"  # braille blank, Hangul filler, variation selector: invisible, but not in category Cc or Cf
)


def texts_in(value: object) -> Iterator[str]:
    """All texts in JSON data of any depth, in their order."""
    stack = [value]
    while stack:
        inner = stack.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, list | dict):
            stack.extend(reversed([*inner.values()] if isinstance(inner, dict) else inner))


class ToolCall(TypedDict):
    """A call of a tool by the model."""

    name: str
    arguments: Mapping[str, object]
    """The tool's own."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message in common terms."""

    kind: str
    """system, user, assistant, call (the model calls a tool) or result (what the tool gave)."""
    text: str
    """The content; for a call the JSON list of {name, arguments}."""
    comment: str = ""
    """Text of the model beside a call."""
    learn: bool = True
    """Whether the answer is part of the loss."""
    thought: str = ""
    """The model's thoughts before its answer."""


def is_blank(text: str) -> bool:
    """Whether a text is invisible: empty, white space, control and zero-width characters."""
    return all(char.isspace() or char in _FILLERS or unicodedata.category(char) in ("Cc", "Cf") for char in text)


class Chat:
    """Reads messages by the tags of one file."""

    def __init__(self, tags: Mapping[str, str], *, openai: bool) -> None:
        self.role_key = tags["role_tag"]
        self.content_key = tags["content_tag"]
        self.openai = openai
        kinds = (("user_tag", "user"), ("assistant_tag", "assistant"), ("observation_tag", "result"))
        self.kinds = {tags[tag]: kind for tag, kind in kinds}
        self.kinds.setdefault(tags["function_tag"], "call")
        self.kinds.setdefault(tags["system_tag"], "system")

    def read(self, messages: object, what: str) -> tuple[list[Turn], list[Fault]]:
        """Turns of a list of messages and everything wrong with single messages; no turns if one is unusable."""
        if not isinstance(messages, list):
            return [], [("wrong_type", f"'{what}' is {kind_name(messages)}, not a list of messages")]
        if not messages:
            return [], [("empty_field", f"'{what}' has no messages")]
        turns: list[Turn] = []
        faults: list[Fault] = []
        for number, message in enumerate(messages, 1):
            turn, turn_faults = self.turn(message, f"message {number} of '{what}'")
            faults += turn_faults
            if turn:
                turns.append(turn)
        return (turns if len(turns) == len(messages) else []), faults

    def turn(self, message: object, where: str) -> tuple[Turn | None, list[Fault]]:
        """One message in common terms; None if its kind is unknown."""
        if not isinstance(message, dict):
            return None, [("wrong_type", f"{where} is {kind_name(message)}, not an object")]
        role = message.get(self.role_key)
        if role is None:
            return None, [("missing_field", f"{where} has no '{self.role_key}'")]
        if not isinstance(role, str):
            return None, [("wrong_type", f"'{self.role_key}' of {where} is {kind_name(role)}, not text")]
        if role not in self.kinds:
            return None, [("unknown_role", f"{where} has the role {role!r}; known here: {', '.join(self.kinds)}")]
        kind = self.kinds[role]
        calls = message.get("tool_calls") if self.openai and kind == "assistant" else None
        turn, faults = self._calls(calls, message, where) if calls else self._plain(kind, message, where)
        if len(message) == 2:
            return turn, faults
        marked, mark_faults = _marked(turn, message, where)
        return marked, [*faults, *mark_faults]

    def _plain(self, kind: str, message: Mapping[str, object], where: str) -> tuple[Turn, list[Fault]]:
        content = message.get(self.content_key)
        faults: list[Fault] = []
        if content is None:
            faults = [("missing_field", f"{where} has no '{self.content_key}'")]
        elif not isinstance(content, str):
            faults = [("wrong_type", f"'{self.content_key}' of {where} {_not_text(content)}")]
        elif kind in ("user", "assistant", "call") and is_blank(content):
            faults = [("empty_field", f"{where} is empty")]
        elif kind == "call":
            faults = _call_faults(content, where)
        return Turn(kind, content if isinstance(content, str) else ""), faults

    def _calls(self, calls: object, message: Mapping[str, object], where: str) -> tuple[Turn, list[Fault]]:
        content = message.get(self.content_key) or ""
        faults: list[Fault] = []
        if not isinstance(content, str):
            faults.append(("wrong_type", f"'{self.content_key}' of {where} is {kind_name(content)}, not text"))
        functions, why = openai_calls(calls)
        if why:
            faults.append(("bad_tools", f"tool_calls of {where} {why}"))
        return Turn(
            "call", json.dumps(functions, ensure_ascii=False), content if isinstance(content, str) else ""
        ), faults


def _not_text(content: object) -> str:
    """Why a content is no text, with the part that is at fault (see `forms`)."""
    if not isinstance(content, list):
        return f"is {kind_name(content)}, not text"
    for number, part in enumerate(content, 1):
        if not isinstance(part, dict):
            return f"is a list whose part {number} is {kind_name(part)}, not an object with a text"
        kind = part.get("type", next(iter(part), "nothing"))
        if kind in ("image", "image_url", "video", "audio", "input_audio"):
            return (
                f"has a part {number} of type {kind!r} that names no file of this machine; save it beside the data "
                f"and name the file there"
            )
        if kind != "text" or not isinstance(part.get("text"), str):
            return f"has a part {number} of type {kind!r}, which the trainer does not read"
    return "is an empty list, not text"


def _marked(turn: Turn, message: Mapping[str, object], where: str) -> tuple[Turn, list[Fault]]:
    """The turn with what the message says about its loss and its thoughts."""
    if turn.kind not in ("assistant", "call"):
        key = next((k for k in SWITCHES if message.get(k) is not None and (k == "weight" or message[k])), None)
        why = f"{where} has a {key} and is no answer; only the model's answers are learned"
        return turn, [("bad_weight", why)] if key else []
    try:
        return replace(turn, learn=is_learned(message), thought=thought_of(message)), []
    except ValueError as problem:
        return turn, [("bad_weight" if "not text" not in str(problem) else "wrong_type", f"{where} {problem}")]


def openai_calls(calls: object) -> tuple[list[ToolCall], str]:
    """[{name, arguments}] of OpenAI's tool_calls, arguments parsed, and what is wrong with them."""
    if not isinstance(calls, list):
        return [], "are not a list"
    functions: list[ToolCall] = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not has_name(function):
            return [], "lack a function with a name"
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                return [], f"have arguments for {function['name']!r} that are not valid JSON"
        if not isinstance(arguments, dict | None):
            return [], f"have arguments for {function['name']!r} that are {kind_name(arguments)}, not an object"
        functions.append({"name": function["name"], "arguments": arguments or {}})
    return functions, ""


def has_name(function: Mapping[str, object]) -> bool:
    """Whether a tool or a call names its function."""
    name = function.get("name")
    return isinstance(name, str) and not is_blank(name)


def _call_faults(content: str, where: str) -> list[Fault]:
    """LLaMA-Factory reads a call as JSON with name and arguments (0.9.5, `data/formatter.py`) and stops on others."""
    try:
        calls = json.loads(_THOUGHT.sub("", content))
    except ValueError:
        return [("bad_tools", f"{where} is a tool call that is not valid JSON")]
    for call in calls if isinstance(calls, list) else [calls]:
        if not isinstance(call, dict) or not has_name(call) or not isinstance(call.get("arguments"), dict | str):
            return [("bad_tools", f"{where} is a tool call without name or arguments")]
    return []


def order_faults(turns: list[Turn], what: str, *, ends_with_answer: bool, openai: bool) -> Iterator[Fault]:
    """The first place where turns are out of order: an optional system message, then prompts and answers in turn.

    A prompt is a user message or a tool's result, an answer is the assistant's text or a call. Several results in a
    row count as one in OpenAI's form, where each call has its own.
    """
    rest = turns[1:] if turns and turns[0].kind == "system" else turns
    first = len(turns) - len(rest) + 1
    before = "start"
    for number, turn in enumerate(rest, first):
        if openai and turn.kind == "result" and before == "result":
            continue
        if turn.kind not in _NEXT[before]:
            expected = " or ".join(_NAMES[kind] for kind in _NEXT[before])
            yield "role_order", f"message {number} of '{what}' is {_NAMES[turn.kind]} where {expected} belongs"
            return
        before = turn.kind
    if not rest:
        yield "role_order", f"'{what}' has only a system message"
    elif (before in ("assistant", "call")) != ends_with_answer:
        end = "the model's answer" if ends_with_answer else "a prompt"
        yield "role_order", f"'{what}' ends with {_NAMES[before]}, not with {end}"


_NEXT: Mapping[str, tuple[str, ...]] = {
    "start": ("user",),
    "user": ("assistant", "call"),
    "assistant": ("user",),
    "call": ("result",),
    "result": ("assistant", "call"),
}
_NAMES: Mapping[str, str] = {
    "system": "a system message",
    "user": "a user message",
    "assistant": "an answer",
    "call": "a tool call",
    "result": "a tool's result",
}


def kind_name(value: object) -> str:
    """What a JSON value is, in words."""
    names: tuple[tuple[type, str], ...] = (
        (bool, "true or false"), (int, "a number"), (float, "a number"), (str, "text"),
        (list, "a list"), (dict, "an object"),
    )  # fmt: skip
    return next((name for kind, name in names if isinstance(value, kind)), "null")
