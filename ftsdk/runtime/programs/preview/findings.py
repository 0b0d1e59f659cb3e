"""What is unusual in the rows as they will be learned, one sentence each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftsdk.contract.previews import PreviewedRow, Segment, Side

_MARK = re.compile(r"<[^<>]*>|◁[^◁▷]*▷")
"""The words around thoughts."""

SENTENCES = {
    "dropped": "{rows} dropped: the trainer reads no question and answer in them",
    "nothing learned": "{rows} nothing that is learned; raise cutoff_len, or see why every answer is masked",
    "prompt learned": "{rows} a prompt that is learned as well (train_on_prompt)",
    "bos twice": "{rows} two begin-of-text tokens at the start",
    "eos never": "{rows} no end-of-text token that is learned: the model will not learn to stop",
    "thoughts": "{rows} thoughts that the template removes",
    "system": "{rows} a system prompt that nobody wrote",
    "tools": "{rows} a list of tools that the template leaves out",
    "cut": "{rows} tokens that cutoff_len cuts off",
}


def findings(items: Iterable[PreviewedRow], bos: int | None, ends: set[int]) -> list[str]:
    """A sentence for each kind of finding, with the number of rows and the first of them."""
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    for item in items:
        for code in dict.fromkeys(_codes(item, bos, ends)):
            counts[code] += 1
            first.setdefault(code, item["rows"][0] if item["rows"] else 0)
    return [sentence(code, counts[code], first[code]) for code in SENTENCES if counts[code]]


def sentence(code: str, count: int, first: int) -> str:
    """What a code of `SENTENCES` says of a number of rows."""
    verb = "are" if code == "dropped" else "have"
    subject = f"{count:,} rows {verb}" if count > 1 else f"1 row {'is' if code == 'dropped' else 'has'}"
    return f"{SENTENCES[code].format(rows=subject)} (first: row {first})."


def _codes(item: PreviewedRow, bos: int | None, ends: set[int]) -> Iterator[str]:
    if item["dropped"]:
        yield "dropped"
        return
    for side in item["sides"]:
        yield from _codes_of_side(side, bos, ends)
    kinds = {segment["kind"] for side in item["sides"] for segment in side["segments"]}
    if any(_num_thoughts(side) < num for side, num in zip(item["sides"], item.get("num_thoughts", []), strict=False)):
        yield "thoughts"
    if item.get("has_tools") and "tool" not in kinds:
        yield "tools"
    if "system" in kinds and item.get("has_system") is False and not item["has_tools"]:
        yield "system"


def _codes_of_side(side: Side, bos: int | None, ends: set[int]) -> Iterator[str]:
    segments = side["segments"]
    ids = [number for segment in segments for number in segment["ids"]]
    learned = [label for segment in segments if segment["learned"] for label in segment["labels"]]
    if not learned:
        yield "nothing learned"
    elif not side["num_cut"] and not ends & set(learned):
        yield "eos never"
    if bos is not None and ids[:2] == [bos, bos]:
        yield "bos twice"
    if any(_is_learned_prompt(segment) for segment in segments):
        yield "prompt learned"
    if side["num_cut"]:
        yield "cut"


def _num_thoughts(side: Side) -> float:
    """Messages with thoughts; all may be there if `cutoff_len` cuts the row."""
    texts = ("".join(segment["tokens"]) for segment in side["segments"] if segment["kind"] == "thought")
    return inf if side["num_cut"] else sum(bool(_MARK.sub("", text).strip()) for text in texts)


def _is_learned_prompt(segment: Segment) -> bool:
    """An end of text that is asked for in place of a prompt's first token belongs to the answer before it."""
    return segment["learned"] and segment["kind"] in ("prompt", "system") and segment["labels"] == segment["ids"]
