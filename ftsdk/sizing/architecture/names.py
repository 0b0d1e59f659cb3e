"""What a model's name says: its size words (`7B`, `8x7B`, `30B-A3B`, `17B-16E`), and the plain names to look up.

A name is all that there is where a config.json is out of reach. Its words are marketing, not measure: see `SPREAD`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MIXTURE_SHARE: Final = 0.83
"""Parameters of an `8x7B` over 8 x 7 billion: the experts share attention (46.7 of 56 in Mixtral 8x7B, 140.6 of 176 in
8x22B)."""
MIXTURE_ACTIVE: Final = 0.28
"""Parameters that a token passes through, of those: two of the eight experts, and attention (12.9 of 46.7)."""
MIN_MILLIONS: Final = 10
"""`560m` is a size; `1m` is a context of a million tokens."""

_UNITS: Final = {"m": 1e6, "b": 1e9, "t": 1e12}
_NUMBER: Final = r"(\d+(?:[._]\d+)?)"
_PLAIN: Final = re.compile(rf"^{_NUMBER}([bmt])$")
_TENTHS: Final = re.compile(r"^(\d+)b(\d)$")
_MIXTURE: Final = re.compile(rf"^(\d+)x{_NUMBER}b$")
_ACTIVE: Final = re.compile(rf"^a{_NUMBER}([bm])$")
_EXPERTS: Final = re.compile(r"^(\d+)e$")
_NOT_SIZES: Final = ("tokens", "token", "tok")
"""`300B-tokens` counts training data."""


class SizeWords(NamedTuple):
    """The sizes in a name; None if the name does not say."""

    total: float | None = None
    """Parameters of the whole model."""
    active: float | None = None
    """Parameters that a token passes through, in a mixture of experts."""
    experts: int = 0


def size_words(model: str) -> SizeWords:
    """The sizes that a model's name claims. Of several totals the largest counts, which never underestimates memory."""
    words = _words(model)
    data = {n for n, word in enumerate(words[1:]) if word in _NOT_SIZES}
    kept = [word for n, word in enumerate(words) if n not in data]
    totals = list(filter(None, map(_total, kept)))
    active = next(filter(None, (_number(_ACTIVE.match(word)) for word in kept)), None)
    experts = next((int(match[1]) for match in map(_EXPERTS.match, kept) if match), 0)
    if any(map(_MIXTURE.match, kept)):
        return SizeWords(max(totals), MIXTURE_ACTIVE * max(totals))
    if experts and totals:  # Llama 4: the size before the experts is that of one token's way
        return SizeWords(None, min(totals), experts)
    return SizeWords(max(totals, default=None), active, experts)


def lookups(model: str) -> Iterator[str]:
    """Plain names of a model, the most specific first: `mistral-nemo-instruct-2407`, `mistral-nemo-2407`.

    Left out are the owner and words that change no shape. Dates and versions stay, because they may change it.
    """
    name = model.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1].lower().replace(" ", "-")
    yield name
    kept = [word for word in re.split(r"-|\.(?=gguf$|bf16$)|_(?=chat|instruct|base)", name) if word not in _SAME_SHAPE]
    yield "-".join(kept)
    yield re.sub(r"[-_]2507$|[-_]v1[._]0$", "", "-".join(kept))


_SAME_SHAPE: Final = frozenset(
    [
        "instruct",
        "chat",
        "base",
        "it",
        "pt",
        "hf",
        "sft",
        "dpo",
        "bf16",
        "fp8",
        "fp16",
        "awq",
        "gptq",
        "gguf",
        "bnb",
        "unsloth",
        "thinking",
        "captioner",
        "4bit",
        "8bit",
        "4bits",
        "8bits",
        "int4",
        "int8",
        "1m",
        "ms",
    ]
)


def _words(model: str) -> list[str]:
    """Words between dashes; those between underscores where the whole is no size (`1_8b` is 1.8 billion)."""
    words = re.split(r"[-/:]", model.rstrip("/").rsplit("/", 1)[-1].lower().replace(" ", "-"))
    return [part for word in words for part in ([word] if _PLAIN.match(word) else word.split("_"))]


def _total(word: str) -> float | None:
    if mixture := _MIXTURE.match(word):
        return MIXTURE_SHARE * int(mixture[1]) * float(mixture[2].replace("_", ".")) * 1e9
    if tenths := _TENTHS.match(word):  # bloom-7b1
        return float(f"{tenths[1]}.{tenths[2]}") * 1e9
    return _number(_PLAIN.match(word))


def _number(match: re.Match[str] | None) -> float | None:
    if match is None:
        return None
    number, unit = float(match[1].replace("_", ".")), match[2]
    return None if unit == "m" and number < MIN_MILLIONS else number * _UNITS[unit]
