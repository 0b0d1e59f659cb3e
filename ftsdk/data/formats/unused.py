"""Columns and message fields that the training does not use, each with its count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ftsdk.contract.messages import ROW_WEIGHTS, SWITCHES, THOUGHTS
from ftsdk.data.formats.detection import Detected

CHAT_ROLES = ("messages", "prompt", "response", "chosen", "rejected")
"""Roles whose columns may hold messages."""
_STRUCTURE = ("tool_calls", "tool_call_id")
"""Fields of messages that tie calls and results together."""
_CALL = ("id", "type", "function")
_FUNCTION = ("name", "arguments")
_WRAPPER = ("messages", "tools")
"""Fields of an object that holds messages, as in OpenAI's preference data."""


@dataclass(slots=True)
class FieldCounts:
    """In how many rows each column is, and in how many messages each field."""

    columns: Counter[str] = field(default_factory=Counter)
    fields: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(column, field) -> messages."""
    num_rows: int = 0

    def add(self, row: Mapping[str, object], detected: Detected) -> None:
        """Count the names in a row and in its messages."""
        self.num_rows += 1
        self.columns.update(row.keys())
        self.add_fields(row, detected, CHAT_ROLES)

    def add_fields(self, row: Mapping[str, object], detected: Detected, roles: tuple[str, ...]) -> None:
        """Count the names in the messages that the columns of these roles hold."""
        for column in (detected.columns[role] for role in roles if role in detected.columns):
            self.fields.update((column, name) for name in _names_in(row.get(column)))

    def add_calls(self, row: Mapping[str, object], detected: Detected) -> None:
        """Count the names in the tool calls of a chat."""
        column = detected.columns.get("messages", "")
        messages = row.get(column)
        for message in messages if isinstance(messages, list) else ():
            self.fields.update((column, name) for name in _names_in_calls(message))

    def unused(self, detected: Detected) -> Iterator[str]:
        """A sentence's beginning for each name that the training does not use, such as `column 'id' (3 rows)`.

        Methods that sample answers pass every column to their reward functions.
        """
        if not detected.format:
            return
        columns = {*detected.columns.values(), *ROW_WEIGHTS}
        if detected.format != "prompts":
            yield from (f"column {n!r} ({c:,} rows)" for n, c in self.columns.items() if n not in columns)
        used = _used_fields(detected)
        for (column, name), count in self.fields.items():
            if name not in used:
                yield f"field {name!r} in {column!r} ({count:,} messages)"


def _names_in(value: object) -> Iterator[str]:
    """The names of all fields in messages, in their calls, and around them."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        yield from (name for name in value if name not in _WRAPPER)
        value = value["messages"]
    for message in value if isinstance(value, list) else [value]:
        if isinstance(message, dict):
            yield from message
            yield from _names_in_calls(message)


def _names_in_calls(message: object) -> Iterator[str]:
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            yield from (f"tool_calls[].{name}" for name in call if name not in _CALL)
            function = call.get("function")
            names = function if isinstance(function, dict) else ()
            yield from (f"tool_calls[].function.{name}" for name in names if name not in _FUNCTION)


def _used_fields(detected: Detected) -> set[str]:
    """Answers of a chat alone can be left out of the loss, and a prompt has no thoughts to learn."""
    keys = {detected.tags.get("role_tag", ""), detected.tags.get("content_tag", ""), *_STRUCTURE}
    keys |= set(SWITCHES) if detected.format in ("sharegpt", "openai") else set()
    return keys if detected.format == "prompts" else keys | set(THOUGHTS)
