"""Small data of every kind, in which something can be learned within a few steps."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ftsdk.testing.tiny import WORDS

ROWS = 96
Row = dict[str, Any]


def _sentence(rng: random.Random, words: list[str]) -> str:
    return " ".join(rng.choice(words) for _ in range(6)) + "."


def _text(rng: random.Random) -> Row:
    return {"text": _sentence(rng, WORDS[:8])}


def _instruction(rng: random.Random) -> Row:
    return {"instruction": _sentence(rng, WORDS), "input": "", "output": _sentence(rng, WORDS[:4])}


def _pair(rng: random.Random) -> Row:
    """The better answer speaks of colours, the worse one of beasts."""
    return {
        "prompt": _sentence(rng, WORDS), "chosen": _sentence(rng, WORDS[11:14]), "rejected": _sentence(rng, WORDS[4:6]),
    }  # fmt: skip


def _labelled(rng: random.Random) -> Row:
    pair, good = _pair(rng), rng.random() < 0.5
    return {"prompt": pair["prompt"], "completion": pair["chosen" if good else "rejected"], "label": good}


MAKERS: dict[str, Callable[[random.Random], Row]] = {
    "text": _text, "instruction": _instruction, "pairs": _pair, "labelled": _labelled,
}  # fmt: skip


def write(folder: Path, kinds: Iterable[str] = tuple(MAKERS)) -> Path:
    """KIND.jsonl for each kind of data; returns the folder."""
    for kind in kinds:
        rng = random.Random(kind)
        rows = [MAKERS[kind](rng) for _ in range(ROWS)]
        (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder
