"""One training row in common terms, read from any format and written in any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import TypeAlias

from ftsdk.contract.foreign import JsonObject
from ftsdk.data.formats.chat import ToolCall, Turn, is_blank
from ftsdk.data.formats.rules import Rules, messages_in
from ftsdk.errors import DataError

_MEDIA = ("images", "videos", "audios")
_BETWEEN_RESULTS = "\n</tool_response>\n<tool_response>\n"
"""How LLaMA-Factory 0.9.5 joins several tool results into one (`data/converter.py`)."""


WrittenRow: TypeAlias = dict[str, object]
"""A row, or a message in it, as JSON data of the format that is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The content of a row, independent of its format."""

    turns: tuple[Turn, ...] = ()
    """The chat without its system message; for pairs only what comes before the answers."""
    system: str = ""
    tools: tuple[JsonObject, ...] = ()
    chosen: Turn | None = None
    rejected: Turn | None = None
    label: bool | None = None
    answer: object = None
    """Reference answer of a prompt."""
    text: str = ""
    media: dict[str, list[object]] = field(default_factory=dict)


def read_example(row: JsonObject, rules: Rules) -> Example:
    """The row in common terms. The row must have passed the rules."""
    columns = rules.columns
    if rules.format == "text":
        return Example(text=row[columns["prompt"]])
    turns = _read_turns(row, rules)
    chosen, rejected = (_side(row, rules, side) for side in ("chosen", "rejected"))
    turns = _before_answers(turns, chosen[:-1])
    system = turns[0].text if turns and turns[0].kind == "system" else ""
    label, prompt = (row.get(columns.get(role, "")) for role in ("kto_tag", "prompt"))
    wrapped_tools = prompt.get("tools") if isinstance(prompt, dict) else None
    return Example(
        turns=tuple(turns[1:] if turns and turns[0].kind == "system" else turns),
        system=system or row.get(columns.get("system", "")) or "",
        tools=_tools(row.get(columns.get("tools", "")) or wrapped_tools),
        chosen=chosen[-1] if chosen else None,
        rejected=rejected[-1] if rejected else None,
        label=None if label is None else str(label).strip().lower() in ("true", "1", "1.0"),
        answer=row.get(columns.get("answer", "")),
        media={role: _listed(row[columns[role]]) for role in _MEDIA if row.get(columns.get(role, ""))},
    )


def _before_answers(turns: list[Turn], inside: list[Turn]) -> list[Turn]:
    """What comes before the answers of a pair: the row's chat, what the answers begin with, or one after the other.

    Answers that begin with a user's turn hold the whole chat, and the row's prompt repeats a part of it.
    """
    if not inside:
        return turns
    if inside[0].kind in ("assistant", "call"):
        return turns + inside
    repeated = turns[-len(inside) :] == inside  # with a system message or earlier turns before them
    return turns if repeated else inside


def _read_turns(row: JsonObject, rules: Rules) -> list[Turn]:
    columns = rules.columns
    if "messages" in columns:
        return rules.chat.read(row[columns["messages"]], columns["messages"])[0]
    prompt = row.get(columns.get("prompt", ""))
    turns: list[Turn] = []
    if isinstance(prompt, list | dict):
        turns, prompt = rules.chat.read(messages_in(prompt), columns["prompt"])[0], None
    for prompt_text, answer_text in row.get(columns.get("history", "")) or ():
        turns += [Turn("user", prompt_text), Turn("assistant", answer_text)]
    query = row.get(columns.get("query", ""))
    if prompt:
        turns.append(Turn("user", f"{prompt}\n{query}" if query else prompt))
    if "response" in columns:
        turns += _side(row, rules, "response")
    return turns


def _side(row: JsonObject, rules: Rules, side: str) -> list[Turn]:
    value = row.get(rules.columns.get(side, ""))
    if value is None:
        return []
    if isinstance(value, str):
        return [Turn("assistant", value)]
    return rules.chat.read(value if isinstance(value, list) else [value], side)[0]


def _tools(value: str | list[JsonObject] | None) -> tuple[JsonObject, ...]:
    if isinstance(value, str):
        return () if is_blank(value) else tuple(json.loads(value) or ())
    return tuple(value or ())


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


# --- writing ---------------------------------------------------------------------------------------------------
def write_example(example: Example, to: str, *, as_chat: bool) -> WrittenRow | None:
    """A row of format `to`, or None if the format cannot express it (a bad answer among good ones).

    `as_chat` writes prompts and answers as messages where the format allows both. Raises DataError if the format
    cannot express the example.
    """
    row = _WRITERS[to](example, as_chat)
    return None if row is None else {**row, **example.media}


def _alpaca(example: Example, _: bool) -> WrittenRow | None:
    chat = _full_chat(example)
    if chat is None:
        return None
    if any(turn.kind not in ("user", "assistant") for turn in chat):
        raise DataError("has tool calls, which alpaca cannot hold; convert to sharegpt or openai")
    pairs = [[prompt.text, _plain(answer)] for prompt, answer in zip(chat[::2], chat[1::2], strict=True)]
    row: WrittenRow = {"instruction": pairs[-1][0], "input": "", "output": pairs[-1][1]}
    extras = {"history": pairs[:-1], "system": example.system, "tools": _tools_text(example)}
    return row | {name: value for name, value in extras.items() if value}


def _plain(answer: Turn) -> str:
    """An answer as text alone. Raises DataError if it says more."""
    if answer.thought or not answer.learn:
        what = "thoughts" if answer.thought else "an answer with the weight 0"
        raise DataError(f"has {what}, which only a chat can hold; convert to sharegpt or openai")
    return answer.text


def _full_chat(example: Example) -> list[Turn] | None:
    """The chat with the answer that is good, None if there is only a bad one."""
    if example.label is False:
        return None
    chat = [*example.turns, *([example.chosen] if example.chosen else [])]
    if isinstance(example.answer, str) and chat and chat[-1].kind == "user":
        chat.append(Turn("assistant", example.answer))
    if not chat or chat[-1].kind not in ("assistant", "call"):
        raise DataError("has no answer to learn from")
    return chat


def _sharegpt(example: Example, _: bool) -> WrittenRow | None:
    chat = _full_chat(example)
    return None if chat is None else _sharegpt_row(example, chat)


def _sharegpt_row(example: Example, chat: list[Turn]) -> WrittenRow:
    head = [{"from": "system", "value": example.system}] if example.system else []
    row: WrittenRow = {"conversations": head + [_sharegpt_message(turn) for turn in _one_result(chat)]}
    return row | ({"tools": _tools_text(example)} if example.tools else {})


_SHAREGPT_NAMES = {"user": "human", "assistant": "gpt", "call": "function_call", "result": "observation"}


def _sharegpt_message(turn: Turn) -> WrittenRow:
    return {"from": _SHAREGPT_NAMES[turn.kind], "value": turn.text, **_marks(turn)}


def _marks(turn: Turn) -> WrittenRow:
    """What a message says beside its content, in the names that the check and the training read."""
    thought: WrittenRow = {"reasoning_content": turn.thought} if turn.thought else {}
    return thought if turn.learn else {**thought, "weight": 0}


def _one_result(chat: list[Turn]) -> list[Turn]:
    """Several results in a row as one."""
    out: list[Turn] = []
    for kind, group in groupby(chat, key=lambda turn: turn.kind):
        turns = list(group)
        out += [Turn(kind, _BETWEEN_RESULTS.join(t.text for t in turns))] if kind == "result" else turns
    return out


def _openai(example: Example, _: bool) -> WrittenRow | None:
    chat = _full_chat(example)
    return None if chat is None else _openai_row(example, chat)


def _openai_row(example: Example, chat: list[Turn]) -> WrittenRow:
    messages: list[WrittenRow] = [{"role": "system", "content": example.system}] if example.system else []
    open_calls: list[str] = []
    for number, turn in enumerate(chat):
        messages += [_openai_message(part, number, open_calls) for part in _single_results(turn, len(open_calls))]
    return {"messages": messages, **({"tools": list(example.tools)} if example.tools else {})}


def _single_results(turn: Turn, num_calls: int) -> list[Turn]:
    """The inverse of `_one_result`, where there is a result for each open call."""
    parts = turn.text.split(_BETWEEN_RESULTS) if turn.kind == "result" else []
    return [Turn("result", part) for part in parts] if 1 < len(parts) == num_calls else [turn]


def _openai_message(turn: Turn, number: int, open_calls: list[str]) -> WrittenRow:
    """One message; `open_calls` are the ids of calls that wait for a result."""
    if turn.kind == "call":
        functions = [
            {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
            for call in _calls(turn)
        ]
        open_calls[:] = [f"call_{number}_{index}" for index in range(len(functions))]
        calls = [
            {"id": name, "type": "function", "function": function}
            for name, function in zip(open_calls, functions, strict=True)
        ]
        return {"role": "assistant", "content": turn.comment or None, "tool_calls": calls} | _marks(turn)
    if turn.kind == "result":
        answered = open_calls.pop(0) if open_calls else ""
        return {"role": "tool", "tool_call_id": answered, "content": turn.text}
    return {"role": turn.kind, "content": turn.text} | _marks(turn)


def _calls(turn: Turn) -> list[ToolCall]:
    calls: list[ToolCall] | ToolCall = json.loads(turn.text)
    return calls if isinstance(calls, list) else [calls]


def _preference(example: Example, as_chat: bool) -> WrittenRow:
    if example.chosen is None or example.rejected is None:
        raise DataError("has no pair of answers, which preference needs")
    if as_chat:
        sides = {"chosen": _sharegpt_message(example.chosen), "rejected": _sharegpt_message(example.rejected)}
        return _sharegpt_row(example, list(example.turns)) | sides
    row: WrittenRow = {
        "prompt": example.turns[-1].text,
        "chosen": _plain(example.chosen),
        "rejected": _plain(example.rejected),
    }
    return row | ({"system": example.system} if example.system else {})


def _kto(example: Example, as_chat: bool) -> WrittenRow:
    if example.label is None:
        raise DataError("has no label, which kto needs")
    if as_chat:
        return _sharegpt_row(example, list(example.turns)) | {"label": example.label}
    prompt, answer = example.turns[-2:]
    row = {"prompt": prompt.text, "completion": _plain(answer), "label": example.label}
    return row | ({"system": example.system} if example.system else {})


def _text(example: Example, _: bool) -> WrittenRow | None:
    if example.text:
        return {"text": example.text}
    chat = _full_chat(example)
    parts = [] if chat is None else [example.system, *map(_plain, chat)]
    return {"text": "\n\n".join(part for part in parts if part)} if parts else None


def _prompts(example: Example, as_chat: bool) -> WrittenRow:
    turns, answer = list(example.turns), example.answer
    if turns and turns[-1].kind == "assistant":
        answer = turns.pop().text
    if not turns:
        raise DataError("has no prompt")
    row: WrittenRow = {"prompt": turns[-1].text}
    if as_chat or len(turns) > 1 or example.system:
        row = {"prompt": _openai_row(example, turns)["messages"]}
    return row | ({"answer": answer} if answer is not None else {})


def _tools_text(example: Example) -> str:
    return json.dumps(list(example.tools), ensure_ascii=False) if example.tools else ""


_WRITERS: Mapping[str, Callable[[Example, bool], WrittenRow | None]] = MappingProxyType(
    {
        "alpaca": _alpaca, "sharegpt": _sharegpt, "openai": _openai, "preference": _preference, "kto": _kto,
        "text": _text, "prompts": _prompts,
    }
)  # fmt: skip
