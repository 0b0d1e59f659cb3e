"""How long the rows are, and what that means for cutoff_len, padding, packing and the number of steps."""

from __future__ import annotations

import bisect
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ftsdk.data.formats.files import DataFile
from ftsdk.data.formats.opening import open_valid_files
from ftsdk.data.formats.rows import batches
from ftsdk.data.formats.rules import Rules, parse
from ftsdk.data.tokens.texts import token_counts
from ftsdk.data.tokens.tokenizer import TokenCounter, token_counter
from ftsdk.errors import DataError

SAMPLE_ROWS = 20_000
"""Rows that are tokenised: the standard error of a percentile is then below 0.4 points."""
PERCENTILES = (5, 25, 50, 75, 90, 95, 99, 100)
BINS = 30
PACKING_ROWS = 1000
"""LLaMA-Factory packs within blocks of `preprocessing_batch_size` rows, 1,000 by default."""
PAD_MULTIPLE = 8
"""LLaMA-Factory's collator pads a batch to its longest row, rounded up to a multiple of 8 (`train/sft/workflow.py`)."""
_ROUND_TO = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Token lengths of a set of rows, and what follows from them."""

    num_rows: int
    num_measured: int
    """Rows whose tokens were counted: all, or a random sample."""
    how_counted: str
    """With which tokenizer, or why it is an estimate."""
    mean_tokens: float
    percentiles: dict[int, int]
    """Percent -> tokens; 100 is the longest measured row."""
    histogram: tuple[tuple[int, int], ...]
    """(tokens from, rows) of bins of equal width; measured rows."""
    suggested_cutoff_len: int
    """Holds 99 % of the rows whole, or all if that is hardly more; a multiple of 64."""
    cutoff_len: int
    """What the figures below are for: as given, else the suggestion."""
    share_cut: float
    """Share of the rows that are longer than cutoff_len."""
    padding_waste: float
    """Share of the computed tokens that are padding, without packing."""
    packing_waste: float
    """The same with packing into rows of cutoff_len."""
    epoch_tokens: int
    """Tokens that are learned from in an epoch, cut rows cut."""
    epoch_steps: int
    """Optimizer steps of an epoch, without packing."""
    packed_epoch_steps: int
    """Optimizer steps of an epoch, with packing."""

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


def stats(
    paths: Iterable[str | Path | DataFile],
    *,
    method: str | None = None,
    tokenizer: str | Path | None = None,
    cutoff_len: int | None = None,
    batch_size: int = 1,
    steps_batch_size: int | None = None,
) -> Stats:
    """Measure the rows of files, folders and patterns.

    `tokenizer` is a model's folder, a tokenizer.json or a hub id in the local cache; without one, lengths are
    estimated, which `how_counted` states. `batch_size` is rows per device and micro-step (what is padded together),
    `steps_batch_size` rows per optimizer step over all devices; the same if left out.

    Raises DataError for data that has no readable row.
    """
    files = open_valid_files(paths, method)
    counter = token_counter(tokenizer)
    rows = ((text, file.rules) for file in files for batch in batches(file.source) for _, text in batch.rows())
    picked, num_rows = _sample(rows)
    lengths = _lengths(picked, counter)
    if not lengths:
        raise DataError("There is no readable row to measure; see `ftsdk data check`.")
    random.Random(0).shuffle(lengths)
    return _stats(lengths, num_rows, counter.how, cutoff_len, batch_size, steps_batch_size or batch_size)


def _lengths(picked: list[tuple[bytes, Rules]], counter: TokenCounter) -> list[int]:
    by_rules: defaultdict[Rules, list[Mapping[str, object]]] = defaultdict(list)
    for text, rules in picked:
        row, _ = parse(text.decode())
        if row is not None:
            by_rules[rules].append(row)
    return [size for rules, rows in by_rules.items() for size in token_counts(rows, rules, counter)]


def _sample(rows: Iterator[tuple[bytes, Rules]]) -> tuple[list[tuple[bytes, Rules]], int]:
    """A uniform random sample (reservoir, Vitter's algorithm R) with a fixed seed, and the number of all rows."""
    rng = random.Random(0)
    kept: list[tuple[bytes, Rules]] = []
    count = 0
    for count, row in enumerate(rows, 1):
        if len(kept) < SAMPLE_ROWS:
            kept.append(row)
        elif (place := int(rng.random() * count)) < SAMPLE_ROWS:
            kept[place] = row
    return kept, count


def _stats(
    lengths: list[int], num_rows: int, how: str, cutoff_len: int | None, batch_size: int, steps_batch_size: int
) -> Stats:
    ordered = sorted(lengths)
    suggested = suggest_cutoff(ordered)
    cutoff = cutoff_len or suggested
    cut = [min(length, cutoff) for length in lengths]
    scale = num_rows / len(lengths)
    packs = sum(len(pack(cut[i : i + PACKING_ROWS], cutoff)) for i in range(0, len(cut), PACKING_ROWS))
    return Stats(
        num_rows=num_rows,
        num_measured=len(lengths),
        how_counted=how,
        mean_tokens=round(sum(lengths) / len(lengths), 1),
        percentiles={p: percentile(ordered, p) for p in PERCENTILES},
        histogram=_histogram(ordered),
        suggested_cutoff_len=suggested,
        cutoff_len=cutoff,
        share_cut=sum(length > cutoff for length in lengths) / len(lengths),
        padding_waste=padding_waste(cut, batch_size),
        packing_waste=1 - sum(cut) / (packs * cutoff),
        epoch_tokens=round(sum(cut) * scale),
        epoch_steps=math.ceil(num_rows / steps_batch_size),
        packed_epoch_steps=math.ceil(packs * scale / steps_batch_size),
    )


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The smallest length that at least this share of the rows does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def suggest_cutoff(ordered: Sequence[int]) -> int:
    """The longest row if it is at most 1.5 times the 99th percentile, else that percentile; up to a multiple of 64."""
    most, nearly = ordered[-1], percentile(ordered, 99)
    return math.ceil((most if most <= 1.5 * nearly else nearly) / _ROUND_TO) * _ROUND_TO


def padding_waste(lengths: Sequence[int], batch_size: int) -> float:
    """Share of padding when rows are batched in this (random) order."""
    computed = 0
    for start in range(0, len(lengths), batch_size):
        rows = lengths[start : start + batch_size]
        computed += math.ceil(max(rows) / PAD_MULTIPLE) * PAD_MULTIPLE * len(rows)
    return 1 - sum(lengths) / computed


def pack(lengths: Sequence[int], capacity: int) -> list[int]:
    """Tokens in each pack, filled with the largest row that still fits, as LLaMA-Factory's `greedy_knapsack` does."""
    left = sorted(lengths)
    packs: list[int] = []
    while left:
        room = capacity
        while (index := bisect.bisect_right(left, room) - 1) >= 0:
            room -= left.pop(index)
        packs.append(capacity - room)
    return packs


def _histogram(ordered: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Bins up to the 99th percentile, the last one open-ended."""
    low, high = ordered[0], percentile(ordered, 99)
    width = max(1, math.ceil((high - low + 1) / BINS))
    counts = [0] * (math.ceil((high - low + 1) / width))
    for length in ordered:
        counts[min((length - low) // width, len(counts) - 1)] += 1
    return tuple((low + number * width, count) for number, count in enumerate(counts))
