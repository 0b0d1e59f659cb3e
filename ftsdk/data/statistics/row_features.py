"""What the first rows of a file ask a training for: system prompts, tools, thoughts, answers that are learned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ftsdk.data.formats.chat import Turn
from ftsdk.data.formats.example import Example, read_example
from ftsdk.data.formats.files import DataFile
from ftsdk.data.formats.opening import OpenFile, open_valid_files
from ftsdk.data.formats.rows import batches
from ftsdk.data.formats.rules import Rules

SAMPLED_ROWS = 2000
"""Enough to detect a share of 0.1 %; reading them takes well under a second."""
_READ_BYTES = 1 << 20
_OPENING = re.compile(r"<[^<>\s]{1,40}>")
_THOUGHT = re.compile(r"<think>\n.*?\n</think>\n\n", re.DOTALL)

ALL, NO_SYSTEM, TOOLS, THOUGHTS, EARLIER_THOUGHTS = "all", "no system", "tools", "thoughts", "earlier thoughts"
LEARNED, LAST_LEARNED = "an answer learned", "last answer learned"
"""Of rows that call no tools."""
CALL_LEARNED = "an answer or call learned"
"""Of the others."""
UNLEARNED, LAST_UNLEARNED = "no answer learned", "last answer not learned"
SYSTEM_OPENS, QUESTION_OPENS = "system opens with ", "question opens with "
"""Followed by the first mark of the text, such as `<s>`; the question only of rows without a system prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFeatures:
    """How many of the first rows have what decides of a template and of labels."""

    num_rows: int
    """Rows that were read; those that break the rules of their format are left out."""
    counts: dict[str, tuple[int, int]]
    """Feature -> number of rows, and the first of them as `ftsdk data check` counts rows."""


def measure(file: DataFile) -> RowFeatures | None:
    """Count what the first rows of a file ask for; None for text without prompts and without readable rows."""
    counts: dict[str, tuple[int, int]] = {}
    for opened in open_valid_files([file], None):
        for number, example in _examples(opened) if opened.rules.format not in ("text", "prompts") else ():
            for code in dict.fromkeys(_codes(example)):
                count, first = counts.get(code, (0, number))
                counts[code] = count + 1, first
    return RowFeatures(num_rows=counts[ALL][0], counts=counts) if counts else None


def _examples(file: OpenFile) -> Iterator[tuple[int, Example]]:
    texts = (item for batch in batches(file.source, batch_bytes=_READ_BYTES) for item in batch.rows())
    for number, text in islice(texts, SAMPLED_ROWS):
        if example := valid_example(text, file.rules, but="nothing_learned"):
            yield number, example


def valid_example(text: bytes, rules: Rules, *, but: str = "") -> Example | None:
    """A row; None for one that breaks the rules `but` one, which `ftsdk data check` reports."""
    try:
        row = json.loads(text)
        return None if any(code != but for code, _ in rules.row_faults(row)) else read_example(row, rules)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _codes(example: Example) -> Iterator[str]:
    yield ALL
    if example.tools:
        yield TOOLS
    elif not example.system:
        yield NO_SYSTEM
    questions = [turn.text for turn in example.turns if turn.kind == "user"]
    opens, first = (SYSTEM_OPENS, example.system) if example.system else (QUESTION_OPENS, "".join(questions[:1]))
    if mark := _OPENING.match(first):
        yield opens + mark[0]
    yield from _codes_of_answers(example)


def _codes_of_answers(example: Example) -> Iterator[str]:
    earlier = [turn for turn in example.turns if turn.kind in ("assistant", "call")]
    last = [turn for turn in (example.chosen, example.rejected) if turn] or [earlier.pop() for _ in earlier[-1:]]
    answers = [*earlier, *last]
    learns, last_learns = any(turn.learn for turn in answers), any(turn.learn for turn in last)
    calls = any(turn.kind == "call" for turn in answers)
    holds = {
        THOUGHTS: any(map(_thinks, answers)),
        EARLIER_THOUGHTS: any(map(_thinks, earlier)),
        LEARNED: learns and not calls,
        LAST_LEARNED: last_learns and not calls,
        CALL_LEARNED: learns and calls,
        UNLEARNED: not learns,
        LAST_UNLEARNED: not last_learns,
    }
    yield from (code for code, is_so in holds.items() if is_so)


def _thinks(turn: Turn) -> bool:
    return bool(turn.thought or _THOUGHT.search(turn.text))
