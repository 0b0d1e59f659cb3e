"""The texts of a row: its inputs, its answers, and their number of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ftsdk.contract.messages import THOUGHTS
from ftsdk.data.formats.rules import Rules
from ftsdk.data.tokens.tokenizer import TOKENS_PER_TURN, TokenCounter

_SHARED_ROLES = ("system", "tools", "history", "prompt", "query", "messages", "response")


def contents(value: object, rules: Rules) -> list[str]:
    """Texts in a field: itself, or the contents (and tool calls) of its messages."""
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, dict):
        parts = [value.get(key) for key in (*THOUGHTS, rules.chat.content_key, "tool_calls")]
        return [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in parts if item]
    if isinstance(value, list):
        return [text for item in value for text in contents(item, rules)]
    return []


def texts_of(row: Mapping[str, object], rules: Rules) -> tuple[list[str], list[list[str]]]:
    """(texts that every sequence of the row has, texts of each alternative ending): pairs give two sequences."""
    columns = rules.columns
    shared = [text for role in _SHARED_ROLES if role in columns for text in contents(row.get(columns[role]), rules)]
    endings = [contents(row.get(columns[role]), rules) for role in ("chosen", "rejected") if role in columns]
    return shared, endings or [[]]


def answer_text(row: Mapping[str, object], rules: Rules) -> str:
    """The answer; of a chat its last message."""
    for role in ("response", "chosen", "messages", "prompt"):
        if role in rules.columns:
            texts = contents(row.get(rules.columns[role]), rules)
            return texts[-1] if texts else ""
    return ""


def whole_text(row: Mapping[str, object], rules: Rules) -> str:
    """Everything in a row, for comparing rows."""
    shared, endings = texts_of(row, rules)
    return "\n".join([*shared, *(text for ending in endings for text in ending)])


def token_counts(rows: list[Mapping[str, object]], rules: Rules, counter: TokenCounter) -> list[int]:
    """Tokens of the longest sequence of each row, with the markers of a chat template around each text."""
    sequences = [(number, [*shared, *ending]) for number, row in enumerate(rows)
                 for shared, endings in [texts_of(row, rules)] for ending in endings]  # fmt: skip
    sizes = iter(counter.count([text for _, texts in sequences for text in texts]))
    marks = 0 if rules.format == "text" else TOKENS_PER_TURN
    longest = [0] * len(rows)
    for number, texts in sequences:
        longest[number] = max(longest[number], sum(next(sizes) + marks for _ in texts))
    return longest
