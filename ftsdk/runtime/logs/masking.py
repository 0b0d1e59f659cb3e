"""Keeps secret values out of logs, outcomes and events."""

from __future__ import annotations

import json
from collections.abc import Iterable

MASK = b"***"
SHORTEST = 4
"""In characters. Shorter values are not masked: they would match ordinary words and numbers, and protect nothing."""


class Mask:
    """Replaces secret values, also in their JSON form; a value of several lines is masked line by line."""

    def __init__(self, values: Iterable[str]) -> None:
        lines = {line.strip() for value in values for line in value.splitlines()}
        forms = lines | {json.dumps(line)[1:-1] for line in lines}
        secrets = [line.encode() for line in forms if len(line) >= SHORTEST]
        self._secrets = sorted(secrets, key=len, reverse=True)  # a secret that contains another one comes first

    def __call__(self, data: bytes) -> bytes:
        """The bytes without secrets. `data` must be complete lines: a value that is cut in two is not matched."""
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, MASK)
        return data

    def text(self, text: str) -> str:
        """The same for text."""
        return self(text.encode()).decode() if self._secrets else text
