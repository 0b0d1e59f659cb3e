"""The exact rules for one row. The SQL prefilter only decides to which rows they are applied.

The measure is LLaMA-Factory 0.9.5 (`data/converter.py`, `data/processor/*.py`, `data/mm_plugin.py`) behind the JSON
reader of `datasets` 4.0: an error makes them stop, skip the row, or train on missing content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ftsdk.contract.messages import ROW_WEIGHTS
from ftsdk.data.formats.catalog import SHAREGPT_TAGS
from ftsdk.data.formats.chat import Chat, Fault, Turn, has_name, is_blank, kind_name, order_faults, texts_in
from ftsdk.data.formats.detection import Detected, is_label

PLACEHOLDERS = {"images": "<image>", "videos": "<video>", "audios": "<audio>"}


class Rules:
    """The rules for the rows of one file."""

    def __init__(self, detected: Detected, samples: Sequence[Mapping[str, object]], folder: Path) -> None:
        self.format = detected.format
        self.columns = detected.columns
        self.folder = folder
        self.usual_names = tuple(samples[0]) if samples else ()
        self.row_weights = () if self.format in ("prompts", "") else tuple(
            name for name in ROW_WEIGHTS if name not in self.columns.values()
        )  # fmt: skip
        tags = {**SHAREGPT_TAGS, **detected.tags}
        self.openai = tags["role_tag"] == "role" and tags["content_tag"] == "content"
        self.chat = Chat(tags, openai=self.openai)
        self.prompt_shape = _usual_shape(samples, detected.columns.get("prompt"), "text")
        self.answer_shape = _usual_shape(samples, detected.columns.get("chosen"), "text")
        self.response_shape = _usual_shape(samples, detected.columns.get("response"), "text")
        self.whole_answers = self.answer_shape == "a list" and _starts_with_prompt(samples, self.columns, self.chat)
        self.label_shape = _usual_shape(samples, detected.columns.get("kto_tag"), "true or false")

    def faults(self, text: str) -> list[Fault]:
        """Everything that is wrong with a row, from its JSON text; empty for a right one."""
        return self.read(text)[1]

    def read(self, text: str) -> tuple[dict[str, object] | None, list[Fault]]:
        """The row in a JSON text, None if it is none, and everything that is wrong with it."""
        row, faults = parse(text)
        return row, faults if row is None else [*faults, *dict.fromkeys(self.row_faults(row))]

    def row_faults(self, row: Mapping[str, object]) -> Iterator[Fault]:
        """Everything that is wrong with a row that could be parsed."""
        yield from self._body(row)
        yield from self._optional(row)
        yield from self._media(row)
        for name in self.row_weights:
            if isinstance(row.get(name), int | float) and row[name] != 1:
                yield "row_weight", f"has the {name} {row[name]} and the trainer weighs no rows; leave the column out"

    def _body(self, row: Mapping[str, object]) -> Iterator[Fault]:
        if self.whole_answers:
            pass  # each answer holds the whole chat, which prompt and messages repeat
        elif "messages" in self.columns:
            yield from self._messages(row, self.columns["messages"], ends_with_answer=self.format not in _OPEN_ENDED)
        elif "prompt" in self.columns:
            yield from self._prompt(row)
        if self.format in ("alpaca", "kto") and "response" in self.columns:
            yield from self._response(row, self.columns["response"])
        if self.format == "preference":
            yield from self._pair(row)
        if self.format == "kto":
            yield from self._label(row)
        if self.format == "prompts" and "answer" in self.columns and row.get(self.columns["answer"]) is None:
            yield _missing(row, self.columns["answer"])

    def _prompt(self, row: Mapping[str, object]) -> Iterator[Fault]:
        name = self.columns["prompt"]
        if self.prompt_shape != "text":
            yield from self._messages(row, name, ends_with_answer=False)
        else:
            yield from _text(row, name)

    def _response(self, row: Mapping[str, object], name: str) -> Iterator[Fault]:
        if self.response_shape != "a list" or row.get(name) is None:
            yield from _text(row, name)
            return
        turns, faults = self.chat.read(row[name], name)
        yield from faults or self._answer_order(turns, name)

    def _messages(self, row: Mapping[str, object], name: str, *, ends_with_answer: bool) -> Iterator[Fault]:
        if row.get(name) is None:
            yield _missing(row, name)
            return
        turns, faults = self.chat.read(messages_in(row[name]), name)
        yield from faults
        if turns:
            yield from order_faults(turns, name, ends_with_answer=ends_with_answer, openai=self.openai)
            answers = [turn for turn in turns if turn.kind in ("assistant", "call")]
            answers = answers[-1:] if self.format == "kto" else answers
            if ends_with_answer and answers and not any(turn.learn for turn in answers):
                yield (
                    "nothing_learned",
                    f"no answer of '{name}' is learned; leave the row out, or give one the weight 1",
                )

    def _pair(self, row: Mapping[str, object]) -> Iterator[Fault]:
        chosen, rejected = (self.columns[role] for role in ("chosen", "rejected"))
        answers = {}
        for name in (chosen, rejected):
            answer, faults = self._answer(row, name)
            yield from faults
            answers[name] = answer
        one, other = answers[chosen], answers[rejected]
        if one is None or other is None:
            return
        if not (one[-1].learn and other[-1].learn):
            yield "bad_weight", f"'{chosen}' or '{rejected}' has the weight 0, and both are always compared"
        if one[-1].text.strip() == other[-1].text.strip() and one[:-1] == other[:-1]:
            yield "same_pair", f"'{chosen}' and '{rejected}' are the same"
        elif one[:-1] != other[:-1] and _asks(one) != _asks(other):
            yield "pair_prompt", f"'{chosen}' and '{rejected}' answer different prompts"

    def _answer(self, row: Mapping[str, object], name: str) -> tuple[list[Turn] | None, list[Fault]]:
        """The turns of one side of a pair, None if they cannot be compared."""
        value = row.get(name)
        if value is None:
            return None, [_missing(row, name)]
        shape = kind_name(value)
        if shape != self.answer_shape:
            return None, [("wrong_type", f"'{name}' is {shape} where other rows have {self.answer_shape}")]
        if isinstance(value, str):
            faults = list(_text(row, name))
            return (None if faults else [Turn("assistant", value)]), faults
        if isinstance(value, dict):
            turn, faults = self.chat.turn(value, f"'{name}'")
            if turn and turn.kind not in ("assistant", "call"):
                faults.append(("role_order", f"'{name}' is not the model's answer"))
            return ([turn] if turn and not faults else None), faults
        turns, faults = self.chat.read(value, name)
        if turns and not faults:
            faults = list(self._answer_order(turns, name))
        return (turns if turns and not faults else None), faults

    def _answer_order(self, turns: list[Turn], name: str) -> Iterator[Fault]:
        """An answer may begin after the prompt or hold the whole chat."""
        starts_late = turns[0].kind in ("assistant", "call")
        whole = [Turn("user", "-"), *turns] if starts_late else turns
        yield from order_faults(whole, name, ends_with_answer=True, openai=self.openai)

    def _label(self, row: Mapping[str, object]) -> Iterator[Fault]:
        name = self.columns["kto_tag"]
        value = row.get(name)
        if value is None:
            yield _missing(row, name)
        elif not is_label(value):
            yield "bad_label", f"'{name}' is {json.dumps(value)[:40]}, neither true nor false"
        elif kind_name(value) != self.label_shape:
            yield "bad_label", f"'{name}' is {json.dumps(value)} where other rows have {self.label_shape}"

    def _optional(self, row: Mapping[str, object]) -> Iterator[Fault]:
        for role in ("query", "system"):
            value = row.get(self.columns.get(role, ""))
            if value is not None and not isinstance(value, str):
                yield "wrong_type", f"'{self.columns[role]}' is {kind_name(value)}, not text"
        if "tools" in self.columns:
            yield from self._tools(row.get(self.columns["tools"]), self.columns["tools"])
        if "history" in self.columns:
            yield from _history(row.get(self.columns["history"]), self.columns["history"])

    def _tools(self, tools: object, name: str) -> Iterator[Fault]:
        if not tools:
            return
        if isinstance(tools, str):
            if is_blank(tools):
                return
            try:
                tools = json.loads(tools)
            except ValueError:
                yield "bad_tools", f"'{name}' is not valid JSON"
                return
        elif not self.openai:
            yield "wrong_type", f"'{name}' is {kind_name(tools)}, not JSON text"
            return
        if not isinstance(tools, list) or not all(map(_is_tool, tools)):
            yield "bad_tools", f"'{name}' is not a list of tools, each with a name"

    def _media(self, row: Mapping[str, object]) -> Iterator[Fault]:
        for role, placeholder in PLACEHOLDERS.items():
            if role not in self.columns:
                continue
            name = self.columns[role]
            value = row.get(name)
            items = value if isinstance(value, list) else [] if value is None else [value]
            yield from self._media_files(items, role)
            num_placeholders = sum(text.count(placeholder) for text in _strings(row, self.columns))
            if num_placeholders != len(items):
                yield "media_count", f"has {num_placeholders} {placeholder} in its text and {len(items)} in '{name}'"

    def _media_files(self, items: list[object], role: str) -> Iterator[Fault]:
        name = self.columns[role]
        for item in items:
            for frame in item if isinstance(item, list) else [item]:
                if isinstance(frame, dict) and {"bytes", "path"} & frame.keys():  # as `datasets` stores images
                    continue
                if not isinstance(frame, str) or not frame:
                    yield "wrong_type", f"'{name}' holds {kind_name(frame)}, not a path"
                elif "://" in frame and role != "videos":  # PyAV opens addresses, PIL and torchaudio do not
                    yield "missing_media", f"{frame} in '{name}' is an address; the trainer opens files only"
                elif "://" not in frame and not (self.folder / frame).is_file():
                    yield "missing_media", f"{frame} in '{name}' is not there (looked in {self.folder})"


_OPEN_ENDED = ("preference", "prompts")


def parse(text: str) -> tuple[dict[str, object] | None, list[Fault]]:
    """The object in a JSON text and what is wrong with the text; stricter than `json.loads`, as the trainer is."""
    doubles: list[str] = []

    def no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
        value = dict(pairs)
        if len(value) != len(pairs):
            names = [name for name, _ in pairs]
            doubles.extend(name for name in value if names.count(name) > 1)
        return value

    try:
        value = json.loads(text, object_pairs_hook=no_doubles, parse_constant=_no_constant)
        text.encode("utf-8") if "\\u" not in text else json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        return None, [("bad_json", f"is not valid JSON: {error.msg} at character {error.pos + 1}")]
    except UnicodeEncodeError:
        return None, [("bad_json", "is not valid JSON: half of a surrogate pair (\\ud800 to \\udfff) is unpaired")]
    except RecursionError:
        return None, [("bad_json", "is not valid JSON: nested too deeply")]
    except ValueError as error:
        return None, [("bad_json", f"is not valid JSON: {error}")]
    if not isinstance(value, dict):
        return None, [("not_object", f"is {kind_name(value)}, not an object with named columns")]
    return value, [("duplicate_key", f"has '{name}' twice in one object") for name in doubles]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def messages_in(value: object) -> object:
    """A list of messages, also where it is wrapped as in OpenAI's preference data ({messages, tools})."""
    return value["messages"] if isinstance(value, dict) and isinstance(value.get("messages"), list) else value


def _missing(row: Mapping[str, object], name: str) -> Fault:
    return "missing_field", f"'{name}' is null" if name in row else f"has no '{name}'"


def _text(row: Mapping[str, object], name: str) -> Iterator[Fault]:
    """Faults of a field that must be text."""
    value = row.get(name)
    if value is None:
        yield _missing(row, name)
    elif not isinstance(value, str):
        yield "wrong_type", f"'{name}' is {kind_name(value)}, not text"
    elif is_blank(value):
        yield "empty_field", f"'{name}' is empty"


def _is_tool(tool: object) -> bool:
    """A function with a name, alone or as OpenAI wraps it."""
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    return isinstance(function, dict) and has_name(function)


def _history(value: object, name: str) -> Iterator[Fault]:
    if value is None:
        return
    if not isinstance(value, list):
        yield "wrong_type", f"'{name}' is {kind_name(value)}, not a list of [prompt, answer]"
    elif not all(isinstance(p, list) and len(p) == 2 and all(isinstance(x, str) for x in p) for p in value):
        yield "wrong_type", f"'{name}' holds something else than [prompt, answer]"


def _asks(turns: Iterable[Turn]) -> list[Turn]:
    """The turns of a chat without those of the model."""
    return [turn for turn in turns if turn.kind in ("system", "user", "result")]


def _usual_shape(samples: Sequence[Mapping[str, object]], name: str | None, default: str) -> str:
    """What most sample rows hold in a column, in words."""
    shapes = [kind_name(row[name]) for row in samples if name and row.get(name) is not None]
    return max(shapes, key=shapes.count) if shapes else default


def _starts_with_prompt(samples: Sequence[Mapping[str, object]], columns: Mapping[str, str], chat: Chat) -> bool:
    """Whether most answers of pairs begin with the prompt's turns."""
    answers = [row.get(columns.get("chosen", "")) for row in samples]
    firsts = [answer[0] for answer in answers if isinstance(answer, list) and answer and isinstance(answer[0], dict)]
    kinds = [chat.kinds.get(str(first.get(chat.role_key))) for first in firsts]
    return 2 * sum(kind in ("user", "system") for kind in kinds) > len(kinds)


def _strings(row: Mapping[str, object], columns: Mapping[str, str]) -> Iterator[str]:
    """All texts of a row that the model sees."""
    visible = ("prompt", "query", "response", "messages", "chosen", "rejected")
    return texts_in([row.get(columns[role]) for role in visible if role in columns])
