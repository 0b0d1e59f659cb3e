"""Columns and message fields that the training does not use, each with its count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ftsdk.contract.messages import ROW_WEIGHTS, SWITCHES, THOUGHTS
from ftsdk.data.formats.detection import Detected

_STRUCTURE = ("tool_calls", "tool_call_id")
"""Fields of messages that tie calls and results together."""


@dataclass(slots=True)
class FieldCounts:
    """In how many rows each column is, and in how many messages each field."""

    columns: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    num_rows: int = 0

    def add(self, rows: Iterable[Mapping[str, object]], messages: str | None) -> None:
        """Count the names in rows; `messages` is the column that holds their messages."""
        for row in rows:
            self.num_rows += 1
            self.columns.update(row.keys())
            turns = row.get(messages) if messages else None
            for message in turns if isinstance(turns, list) else ():
                if isinstance(message, dict):
                    self.fields.update(message.keys())

    def unused(self, detected: Detected) -> Iterator[str]:
        """A sentence's beginning for each name that the training does not use, such as `column 'id' (3 rows)`.

        Methods that sample answers pass every column to their reward functions.
        """
        if not detected.format:
            return
        columns = {*detected.columns.values(), *ROW_WEIGHTS}
        if detected.format != "prompts":
            yield from (f"column {n!r} ({c:,} rows)" for n, c in self.columns.items() if n not in columns)
        where = detected.columns.get("messages")
        fields = _used_fields(detected)
        yield from (f"field {n!r} in {where!r} ({c:,} messages)" for n, c in self.fields.items() if n not in fields)


def _used_fields(detected: Detected) -> set[str]:
    """Answers of a chat alone can be left out of the loss, and a prompt has no thoughts to learn."""
    keys = {detected.tags.get("role_tag", ""), detected.tags.get("content_tag", ""), *_STRUCTURE}
    keys |= set(SWITCHES) if detected.format in ("sharegpt", "openai") else set()
    return keys if detected.format == "prompts" else keys | set(THOUGHTS)
