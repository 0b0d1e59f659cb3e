"""JSON files that a user wrote."""

from __future__ import annotations

import json
from pathlib import Path

from ftsdk.contract.foreign import JsonObject
from ftsdk.errors import SpecError


def json_object(path: Path) -> JsonObject:
    """The object in a JSON file. Raises SpecError."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise SpecError(f"{path} cannot be read as JSON ({problem}).") from problem
    if not isinstance(data, dict):
        raise SpecError(f"{path} should hold a JSON object.")
    return data
