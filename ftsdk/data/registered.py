"""Data with its shape told: a file as LLaMA-Factory's dataset_info.json registers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftsdk.data.formats import OPENAI_TAGS, SHAREGPT_TAGS

_DEFAULT_COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "messages": "conversations"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file, folder or pattern with what is known of its rows; what is left out is found from the rows."""

    path: str | Path
    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role -> column."""
    tags: Mapping[str, str] = field(default_factory=dict)


def shaped(
    paths: Iterable[str | Path | DataFile],
    format: str | None,
    columns: Mapping[str, str] | None,
    tags: Mapping[str, str] | None,
) -> list[DataFile]:
    """Paths with the shape that is given for all of them; what tells its own shape keeps it."""
    return [
        path if isinstance(path, DataFile)
        else DataFile(path=path, format=format, columns=columns or {}, tags=tags or {})
        for path in paths
    ]  # fmt: skip


def from_entry(entry: Mapping[str, Any], path: str | Path) -> DataFile:
    """The shape that an entry of dataset_info.json (LLaMA-Factory 0.9.5, `data/parser.py`) gives to a file.

    Roles whose column the trainer would look for by default are only named if the entry has no `columns` at all.
    """
    formatting = str(entry.get("formatting", "alpaca"))
    chat = formatting != "alpaca"
    roles = ("messages",) if chat else ("prompt", "query", "response")
    columns = dict(entry["columns"]) if "columns" in entry else {role: _DEFAULT_COLUMNS[role] for role in roles}
    tags = {**(OPENAI_TAGS if formatting == "openai" else SHAREGPT_TAGS), **entry.get("tags", {})} if chat else {}
    return DataFile(path=path, format=_format(entry, formatting, columns), columns=columns, tags=tags)


def _format(entry: Mapping[str, Any], formatting: str, columns: Mapping[str, str]) -> str:
    if entry.get("ranking"):
        return "preference"
    if "kto_tag" in columns:
        return "kto"
    if formatting == "alpaca":
        return "alpaca" if "response" in columns else "text"
    return formatting
