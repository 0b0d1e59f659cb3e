"""How many tokens a text has: with the model's tokenizer where one is on this machine, else by an estimate."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftsdk.contract.foreign import JsonObject
from ftsdk.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS_PER_TURN = 5
"""Tokens that a chat template puts around a message (ChatML: <|im_start|>role\\n … <|im_end|>\\n)."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts tokens of texts."""

    how: str
    """Where the figures come from, for people."""
    exact: bool
    _tokenizer: Tokenizer | None = None

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the markers of a chat template."""
        if self._tokenizer is None:
            return [estimate(text) for text in texts]
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def estimate(text: str) -> int:
    """A token for 4 letters of an alphabet, 0.75 for an ideograph: about what tokenizers of 100,000 and more give."""
    characters, size = len(text), len(text.encode("utf-8", "surrogatepass"))
    wide = (size - characters) / 2
    return round((characters - wide) / 4 + wide * 0.75)


def token_counter(model: str | Path | None) -> TokenCounter:
    """The tokenizer of a model: a folder, a tokenizer.json, or a hub id that is in the local Hugging Face cache.

    Without one, or without the `tokenizers` package, an estimate, as `how` states. Raises DataError for a path that is
    given and has no tokenizer.json.
    """
    if model is None:
        return TokenCounter("estimated: no tokenizer was given", False)
    path = tokenizer_file(model)
    if path is None:
        return TokenCounter(f"estimated: the tokenizer of {model} is not on this machine", False)
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return TokenCounter("estimated: the package 'tokenizers' is not installed", False)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises bare Exception
        raise DataError(f"{path} is not a readable tokenizer: {error}.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TokenCounter(f"counted with {path}", True, tokenizer)


def tokenizer_file(model: str | Path) -> Path | None:
    """tokenizer.json of a folder or of a hub id in the local cache; None if it is not on this machine."""
    path = Path(model).expanduser()
    if path.is_dir():
        file = path / "tokenizer.json"
        if not file.exists():
            raise DataError(f"{path} has no tokenizer.json; give the folder of a model with a fast tokenizer.")
        return file
    if path.is_file():
        return path
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = cache / f"models--{str(model).replace('/', '--')}" / "snapshots"
    return max(snapshots.glob("*/tokenizer.json"), key=lambda p: p.stat().st_mtime, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFacts:
    """Special tokens and chat template of a tokenizer."""

    special: frozenset[str]
    """Texts that are one token by declaration, e.g. `<|im_end|>`."""
    chat_template: str
    """The model's own, a Jinja text; empty if it has none."""
    names: dict[str, str] = field(default_factory=dict)
    """Special tokens by their names, such as `bos_token`."""
    prefix: str = ""
    """What the tokenizer puts before every text, such as `<s>`."""


def tokenizer_facts(model: str | Path) -> TokenizerFacts | None:
    """Special tokens and chat template of a model's tokenizer; None where its files are not on this machine."""
    try:
        path = tokenizer_file(model)
    except DataError:
        return None
    if path is None:
        return None
    config = _json(path.parent / "tokenizer_config.json")
    template = config.get("chat_template")
    if isinstance(template, list):  # several by name
        template = {item.get("name"): item.get("template") for item in template}.get("default")
    with contextlib.suppress(OSError):
        template = (path.parent / "chat_template.jinja").read_text("utf-8")
    names = {name: _token_text(value) for name, value in config.items() if name.endswith("_token") and value}
    head = path.read_text("utf-8")
    added = _head_value(head, "added_tokens") or []
    return TokenizerFacts(
        special=frozenset(str(token.get("content")) for token in added if isinstance(token, dict)),
        chat_template=str(template or ""),
        names=names,
        prefix="".join(_prefix(_head_value(head, "post_processor") or {})) or _added_bos(config, names),
    )


def _token_text(value: object) -> str:
    return str(value.get("content", "") if isinstance(value, dict) else value)


def _added_bos(config: JsonObject, names: dict[str, str]) -> str:
    return names.get("bos_token", "") if config.get("add_bos_token") is True else ""


def _prefix(processor: JsonObject) -> Iterator[str]:
    """The special tokens that a post-processor puts before a single text."""
    for inner in processor.get("processors", ()):
        yield from _prefix(inner)
    for piece in processor.get("single", ()):
        if "Sequence" in piece:
            return
        yield str(piece["SpecialToken"]["id"])


def _head_value(text: str, name: str) -> Any:
    """A value of tokenizer.json before its vocabulary, so that the file, often 10 MB, is not parsed wholly."""
    place = text.find(f'"{name}":')
    if place < 0:
        return None
    start = place + len(name) + 3
    while text[start : start + 1].isspace():
        start += 1
    with contextlib.suppress(ValueError):
        return json.JSONDecoder().raw_decode(text, start)[0]
    return None


def _json(path: Path) -> JsonObject:
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(path.read_text("utf-8"))
        return value if isinstance(value, dict) else {}
    return {}
