"""Secret values never reach a log, an outcome or an event."""

from __future__ import annotations

import json
from collections.abc import Iterable

MASK = b"***"
SHORTEST = 4
"""Shorter values are not masked: they would hit ordinary words and numbers, and protect nothing."""


class Mask:
    """Replaces secret values, also where they were written as JSON; a value of several lines is masked line by line."""

    def __init__(self, values: Iterable[str]) -> None:
        lines = {line.strip() for value in values for line in value.splitlines()}
        spelled = lines | {json.dumps(line)[1:-1] for line in lines}
        wanted = [line.encode() for line in spelled if len(line) >= SHORTEST]
        self._hidden = sorted(wanted, key=len, reverse=True)  # a secret that holds another one goes first

    def __call__(self, data: bytes) -> bytes:
        """The bytes without secrets. Give it whole lines: a value cut in two is not found."""
        for secret in self._hidden:
            if secret in data:
                data = data.replace(secret, MASK)
        return data

    def text(self, text: str) -> str:
        """The same for text."""
        return self(text.encode()).decode() if self._hidden else text
