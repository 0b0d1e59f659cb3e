"""Lengths and checks of files that are known by their hash: the same data is never read for them twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftsdk.contract.release import __version__
from ftsdk.data.formats.registered import DataFile
from ftsdk.data.statistics.truncation import Cut
from ftsdk.data.tokens.tokenizer import token_counter, tokenizer_file
from ftsdk.errors import DataError
from ftsdk.storage import cache


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A data file, what its rows are, and its SHA-256."""

    file: DataFile
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How long the training rows are, in tokens, and what follows for this spec."""

    num_rows: int
    mean_tokens: float
    max_tokens: int
    how_counted: str
    """With which tokenizer, or why it is an estimate."""
    rows_cut: int
    """Rows longer than cutoff_len, scaled up from the rows that were measured."""
    suggested_cutoff_len: int
    padding_waste: float
    packing_waste: float


def lengths(
    files: Sequence[KnownFile], *, method: str, tokenizer: str | None, cutoff_len: int, batch_size: int
) -> Lengths | None:
    """Lengths of all files together; None if no row can be read. `tokenizer` as for `tokens.token_counter`."""
    key = _key("lengths", files, method, tokenizer, cutoff_len, batch_size)
    try:
        found = cache.known(key, lambda: _measure(files, method, tokenizer, cutoff_len, batch_size))
    except DataError:  # what is wrong with the rows is told by the check, not by their lengths
        return None
    return Lengths(**found)


def _measure(
    files: Sequence[KnownFile], method: str, tokenizer: str | None, cutoff_len: int, batch_size: int
) -> dict[str, Any]:
    from ftsdk.data.statistics.stats import stats

    given = [known.file for known in files]
    found = stats(given, method=method, tokenizer=tokenizer, cutoff_len=cutoff_len, batch_size=batch_size)
    return asdict(
        Lengths(
            num_rows=found.num_rows,
            mean_tokens=found.mean_tokens,
            max_tokens=found.percentiles[100],
            how_counted=found.how_counted,
            rows_cut=round(found.share_cut * found.num_rows),
            suggested_cutoff_len=found.suggested_cutoff_len,
            padding_waste=found.padding_waste,
            packing_waste=found.packing_waste,
        )
    )


def cut(file: KnownFile, *, tokenizer: str | None, cutoff_len: int) -> Cut | None:
    """What `cutoff_len` cuts from the rows of a file; None for text without prompts and for rows that none can read."""
    from ftsdk.data.statistics import truncation

    def look() -> dict[str, Any] | None:
        found = truncation.measure(file.file, token_counter(tokenizer), cutoff_len)
        return asdict(found) if found else None

    try:
        found = cache.known(_key("cut", [file], *_counted_with(tokenizer), cutoff_len), look)
    except DataError:
        return None
    return Cut(**found) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome of a check in short."""

    verdict: str
    counts: dict[str, int]
    """Findings per code of `report.CODES`."""
    first: tuple[str, ...]
    """The first errors, a sentence each with file and row; without errors, the first warnings."""


def _counted_with(tokenizer: str | None) -> tuple[str | None, str]:
    """A tokenizer's name and file, which may appear in the cache of a hub between two looks."""
    return tokenizer, str(tokenizer and tokenizer_file(tokenizer))


FIRST = 3


def checked(train: Sequence[KnownFile], held_out: Sequence[KnownFile], *, method: str) -> Checked:
    """What `ftsdk data check` says of the files, without the heuristics: those are never a reason to refuse."""
    key = _key("checked", [*train, *held_out], method, len(train))
    found = cache.known(key, lambda: _check(train, held_out, method))
    return Checked(verdict=found["verdict"], counts=found["counts"], first=tuple(found["first"]))


def _check(train: Sequence[KnownFile], held_out: Sequence[KnownFile], method: str) -> dict[str, Any]:
    from ftsdk.data.checks.check import check

    report = check([f.file for f in train], eval_paths=[f.file for f in held_out], method=method, heuristics=False)
    weighty = [
        found for found in report.findings if found.severity == ("error" if report.verdict == "fail" else "warning")
    ]
    words = {file.file: file.row_word for file in report.files}
    first = [
        f"{Path(found.file).name}{f', {words[found.file]} {found.row}' if found.row else ''}: {found.message}"
        for found in weighty[:FIRST]
    ]
    return {"verdict": report.verdict, "counts": report.counts, "first": first}


def _key(what: str, files: Sequence[KnownFile], *more: Any) -> str:
    """Everything that the answer depends on, this version of ftsdk included."""
    shapes = [[file.sha256, Path(file.file.path).suffix, {**asdict(file.file), "path": ""}] for file in files]
    return hashlib.sha256(json.dumps([what, __version__, shapes, more], default=dict).encode()).hexdigest()
