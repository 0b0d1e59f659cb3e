"""How many rows `cutoff_len` truncates; the trainer truncates them without a message.

The arithmetic is LLaMA-Factory 0.9.5's (`data/processor/processor_utils.py`, `supervised.py`, `pairwise.py`): the
shorter one of prompt and answer is kept whole if it needs less than half of the room, else both are cut in proportion;
turns for which no room is left are dropped. With packing a row that is too long is dropped whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ftsdk.data.formats.example import Example
from ftsdk.data.formats.files import DataFile
from ftsdk.data.formats.opening import OpenFile, open_valid_files
from ftsdk.data.formats.rows import batches
from ftsdk.data.statistics.row_features import SAMPLED_ROWS, valid_example
from ftsdk.data.tokens.tokenizer import TOKENS_PER_TURN, TokenCounter

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncation:
    """How many of the measured rows lose tokens."""

    num_rows: int
    """Rows that were measured, the first of the file."""
    prompts: int
    """Rows whose prompt loses tokens."""
    answers: int
    """Rows whose answer loses tokens, or from which turns are dropped."""
    longest: int
    """Tokens of the longest measured row."""
    exact: bool
    """Counted with the model's tokenizer; else estimated from the characters."""


Pair = tuple[int, int]
"""Tokens of a prompt and of the answer to it."""


def measure(file: DataFile, counter: TokenCounter, cutoff_len: int) -> Truncation | None:
    """Count the truncated rows; None for text without prompts, which is split and not truncated."""
    opened = open_valid_files([file], None)
    rows = [pairs for one in opened if one.rules.format != "text" for pairs in _rows(one, counter)]
    if not rows:
        return None
    losses = [_losses(pairs, cutoff_len) for pairs in rows]
    return Truncation(
        num_rows=len(rows),
        prompts=sum(prompt for prompt, _ in losses),
        answers=sum(answer for _, answer in losses),
        longest=max(sum(map(sum, pairs)) for pairs in rows),
        exact=counter.exact,
    )


def shortened(prompt: int, answer: int, room: int) -> Pair:
    """Tokens that are left of a prompt and its answer (`infer_seqlen`)."""
    if answer * 2 < room:
        most = room
    elif prompt * 2 < room:
        most = room - prompt
    else:
        most = int(room * (answer / (prompt + answer)))
    answer = min(most, answer)
    return min(max(room - answer, 0), prompt), answer


def _losses(pairs: list[Pair], cutoff_len: int) -> tuple[bool, bool]:
    """Whether the prompts of a row lose tokens, and whether its answers do."""
    used, prompts, answers = 0, False, False
    for prompt, answer in pairs:
        if used >= cutoff_len:
            return prompts, True
        kept = shortened(prompt, answer, cutoff_len - used)
        prompts, answers, used = prompts or kept[0] < prompt, answers or kept[1] < answer, used + sum(kept)
    return prompts, answers


def _rows(file: OpenFile, counter: TokenCounter) -> Iterator[list[Pair]]:
    """Prompt and answer lengths of the first rows, turn by turn; the longer answer of a pair."""
    texts = (text for batch in batches(file.source, batch_bytes=_READ_BYTES) for _, text in batch.rows())
    examples = [example for text in islice(texts, SAMPLED_ROWS) if (example := valid_example(text, file.rules))]
    exchanges = [list(_exchanges(example)) for example in examples]
    sizes = iter(counter.count([part for row in exchanges for exchange in row for part in exchange]))
    for row in exchanges:
        counted = [[next(sizes) + TOKENS_PER_TURN for _ in exchange] for exchange in row]
        yield [(exchange[0], max(exchange[1:])) for exchange in counted]


def _exchanges(example: Example) -> Iterable[list[str]]:
    """[prompt, answer or answers] of each exchange; the system text and the tools belong to the first prompt."""
    head = example.system + (json.dumps(list(example.tools)) if example.tools else "")
    prompt = [head] if head else []
    for turn in example.turns:
        if turn.kind in ("user", "result", "system"):
            prompt.append(turn.text)
        else:
            yield ["\n".join(prompt), turn.text]
            prompt = []
    answers = [turn.text for turn in (example.chosen, example.rejected) if turn]
    if answers:
        yield ["\n".join(prompt), *answers]
