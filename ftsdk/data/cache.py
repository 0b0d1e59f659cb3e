"""Results for data files, cached by the files' hashes: the same data is not read twice for the same question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ftsdk.contract.json_data import from_data
from ftsdk.contract.release import __version__
from ftsdk.data.formats.files import DataFile
from ftsdk.data.statistics.row_features import RowFeatures
from ftsdk.data.statistics.truncation import Truncation
from ftsdk.data.tokens.tokenizer import token_counter, tokenizer_file
from ftsdk.errors import DataError
from ftsdk.storage import cache

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A data file and its SHA-256."""

    file: DataFile
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Token lengths of the training rows, and what follows from them for one spec."""

    num_rows: int
    mean_tokens: float
    max_tokens: int
    how_counted: str
    """With which tokenizer, or why it is an estimate."""
    rows_cut: int
    """Rows longer than cutoff_len, extrapolated from the measured rows."""
    suggested_cutoff_len: int
    padding_waste: float
    packing_waste: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSummary:
    """The result of a check in short."""

    verdict: str
    num_rows: int
    """Rows of all files."""
    counts: dict[str, int]
    """Findings per code of `report.CODES`."""
    first: tuple[str, ...]
    """The first errors, a sentence each with file and row; without errors, the first warnings."""


def lengths(
    files: Sequence[HashedFile], *, method: str, tokenizer: str | None, cutoff_len: int, batch_size: int
) -> Lengths | None:
    """Lengths of all files together; None if no row can be read. `tokenizer` as for `tokens.token_counter`."""
    key = _key("lengths", files, method, tokenizer, cutoff_len, batch_size)
    try:
        return Lengths(**cache.cached(key, lambda: asdict(_measure(files, method, tokenizer, cutoff_len, batch_size))))
    except DataError:  # the check reports what is wrong with the rows
        return None


def _measure(
    files: Sequence[HashedFile], method: str, tokenizer: str | None, cutoff_len: int, batch_size: int
) -> Lengths:
    from ftsdk.data.statistics.stats import stats

    measured = stats(
        [hashed.file for hashed in files],
        method=method, tokenizer=tokenizer, cutoff_len=cutoff_len, batch_size=batch_size,
    )  # fmt: skip
    return Lengths(
        num_rows=measured.num_rows,
        mean_tokens=measured.mean_tokens,
        max_tokens=measured.percentiles[100],
        how_counted=measured.how_counted,
        rows_cut=round(measured.share_cut * measured.num_rows),
        suggested_cutoff_len=measured.suggested_cutoff_len,
        padding_waste=measured.padding_waste,
        packing_waste=measured.packing_waste,
    )


def truncation(file: HashedFile, *, tokenizer: str | None, cutoff_len: int) -> Truncation | None:
    """How many rows of a file `cutoff_len` truncates; None for text without prompts and for rows that are unreadable.

    Counted with the tokenizer if it is on this machine, else estimated.
    """
    from ftsdk.data.statistics.truncation import measure

    path = _local_tokenizer(tokenizer)

    def compute() -> Mapping[str, object] | None:
        measured = measure(file.file, token_counter(path), cutoff_len)
        return asdict(measured) if measured else None

    try:
        values = cache.cached(_key("truncation", [file], tokenizer, str(path), cutoff_len), compute)
    except DataError:
        return None
    return from_data(Truncation, values) if values else None


def row_features(file: HashedFile) -> RowFeatures | None:
    """What the first rows of a file ask a training for; None for text and for rows that are unreadable."""
    from ftsdk.data.statistics.row_features import measure

    def compute() -> Mapping[str, object] | None:
        measured = measure(file.file)
        return asdict(measured) if measured else None

    try:
        values = cache.cached(_key("row_features", [file]), compute)
    except DataError:
        return None
    return from_data(RowFeatures, values) if values else None


def _local_tokenizer(tokenizer: str | None) -> Path | None:
    """The tokenizer's file, which can appear in a hub's cache between two calls."""
    try:
        return tokenizer_file(tokenizer) if tokenizer else None
    except DataError:
        return None


def check_summary(train: Sequence[HashedFile], held_out: Sequence[HashedFile], *, method: str) -> CheckSummary:
    """The result of `ftsdk data check` without heuristics, which are never a reason to refuse data."""
    key = _key("checked rows", [*train, *held_out], method, len(train))
    values = cache.cached(key, lambda: asdict(_check(train, held_out, method)))
    return CheckSummary(**{**values, "first": tuple(values["first"])})


def _check(train: Sequence[HashedFile], held_out: Sequence[HashedFile], method: str) -> CheckSummary:
    from ftsdk.data.checks.check import CheckOptions, check

    options = CheckOptions(method=method, heuristics=False)
    report = check([f.file for f in train], options, eval_paths=[f.file for f in held_out])
    severity = "error" if report.verdict == "fail" else "warning"
    examples = [finding for finding in report.findings if finding.severity == severity][:EXAMPLES]
    row_words = {file.file: file.row_word for file in report.files}
    first = [
        f"{Path(finding.file).name}{f', {row_words[finding.file]} {finding.row}' if finding.row else ''}: "
        f"{finding.message}"
        for finding in examples
    ]
    num_rows = sum(file.num_rows for file in report.files)
    return CheckSummary(verdict=report.verdict, num_rows=num_rows, counts=report.counts, first=tuple(first))


def _key(what: str, files: Sequence[HashedFile], *more: object) -> str:
    """A digest of everything that the result depends on, this version of ftsdk included."""
    shapes = [[hashed.sha256, Path(hashed.file.path).suffix, {**asdict(hashed.file), "path": ""}] for hashed in files]
    return hashlib.sha256(json.dumps([what, __version__, shapes, more], default=dict).encode()).hexdigest()
