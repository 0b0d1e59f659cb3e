"""What the first rows of a data file contain beside questions and answers."""

from __future__ import annotations

import json

from ftsdk.contract.documents import DatasetEntry
from ftsdk.data.formats.files import source
from ftsdk.data.formats.rows import batches
from ftsdk.errors import DataError

BYTES = 1 << 20
MEDIA_COLUMNS = {"images": "image", "videos": "video", "audios": "audio"}
CALL_KEYS = (b'"tool_calls"', b'"function_call"')


def contents_of(path: str, entry: DatasetEntry) -> frozenset[str]:
    """Of `tools`, `image`, `video`, `audio`, those that the first megabyte of rows contains."""
    columns = {**{role: role for role in (*MEDIA_COLUMNS, "tools")}, **(entry.get("columns") or {})}
    contents: set[str] = set()
    try:
        first = next(batches(source(path), batch_bytes=BYTES), None)
    except DataError:  # the check of the data reports it
        return frozenset()
    for _, text in first.rows() if first else ():
        row = json.loads(text)
        if not isinstance(row, dict):
            continue
        contents |= {kind for role, kind in MEDIA_COLUMNS.items() if row.get(columns[role])}
        if row.get(columns["tools"]) not in (None, "", "[]", []) or any(key in text for key in CALL_KEYS):
            contents.add("tools")
    return frozenset(contents)
