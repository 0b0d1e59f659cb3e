"""A quick look at one file: what it is, how many rows, which columns, a few of them, and its format.

Small files are read whole with plain Python, which is done before an engine would be loaded; large ones by their
first batch, and their rows are only counted.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftsdk.data.formats.detection import Detected, detect
from ftsdk.data.formats.files import SourceFile, readable, source
from ftsdk.data.formats.rows import Batch, batches
from ftsdk.errors import DataError

SMALL_BYTES = 8 << 20
SAMPLE_ROWS = 100
_TRAINER_KINDS = ("json", "jsonl", "parquet", "arrow", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSummary:
    """What a quick look at a file showed."""

    path: str
    kind: str
    """jsonl, json, csv, tsv, text, parquet, arrow or excel: by content where the name could mislead."""
    compression: str
    """gzip, zstd or empty."""
    size_bytes: int
    num_rows: int | None
    """Rows that are not blank; None where counting would mean parsing a large file."""
    columns: tuple[str, ...]
    """Names of the columns of the sample rows, in order of appearance."""
    sample_rows: tuple[dict[str, Any], ...]
    """The first rows, at most 100."""
    detected: Detected
    """Format, columns and tags, and why."""
    convert_first: str
    """Why LLaMA-Factory cannot load the file as it is; empty if it can."""


def describe_file(
    path: str | Path,
    *,
    method: str | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> FileSummary:
    """Look at one local file. `format`, `columns` and `tags` are what the spec says; the rest is found out.

    Raises DataError in one sentence for a file that is missing, empty, unreadable, not UTF-8 or broken (with the
    row), or whose columns fit no format. A file over 8 MB is only read at its beginning: `check` reads all.
    """
    found = source(path)
    size_bytes = found.path.stat().st_size
    rows, num_rows = _small(found) if size_bytes <= SMALL_BYTES else _large(found)
    if not rows:
        raise DataError(f"{found.path} has no rows; write at least one.")
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    detected = detect(
        names, rows, method=method, format=format, given_columns=columns, given_tags=tags, where=str(path)
    )
    return FileSummary(
        path=str(path),
        kind=found.kind,
        compression=found.compression,
        size_bytes=size_bytes,
        num_rows=num_rows,
        columns=names,
        sample_rows=tuple(rows),
        detected=detected,
        convert_first=_kind_reason(found) or detected.convert_first,
    )


def _kind_reason(found: SourceFile) -> str:
    """Why the trainer's loader would not take this kind of file (LLaMA-Factory 0.9.5, `extras/constants.py`)."""
    if found.compression:
        return f"it is packed with {found.compression}"
    if found.kind == "csv":
        return "CSV has no types: the trainer's reader makes numbers of numerals and nothing of 'NA'"
    return "" if found.kind in _TRAINER_KINDS else f"the trainer does not read {found.kind} files"


def _small(found: SourceFile) -> tuple[list[dict[str, Any]], int]:
    parsed = _parsed_rows(found, batches(found))
    rows = list(itertools.islice(parsed, SAMPLE_ROWS))
    return rows, len(rows) + sum(1 for _ in parsed)


def _large(found: SourceFile) -> tuple[list[dict[str, Any]], int | None]:
    first = itertools.islice(batches(found, batch_bytes=1 << 20), 1)
    rows = list(itertools.islice(_parsed_rows(found, first), SAMPLE_ROWS))
    return rows, _count(found)


def _parsed_rows(found: SourceFile, some: Iterator[Batch]) -> Iterator[dict[str, Any]]:
    for batch in some:
        for fault in batch.faults:
            where = f", {found.row_word} {fault.row}," if fault.row else ""
            raise DataError(f"{found.path}{where} {fault.message}; `ftsdk data check` lists every such row.")
        for row, text in batch.rows():
            yield _object(found, row, text)


def _object(found: SourceFile, row: int, text: bytes) -> dict[str, Any]:
    where = f"{found.path}, {found.row_word} {row},"
    try:
        value = json.loads(text.decode())
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where} is not valid JSON ({error.msg} at character {error.pos + 1}); mend or delete it, "
            "or let `ftsdk data check --fix` write a clean copy."
        ) from error
    except RecursionError as error:
        raise DataError(f"{where} is nested too deeply; delete it.") from error
    if not isinstance(value, dict):
        raise DataError(f"{where} is not an object with named columns; `ftsdk data check` lists every such row.")
    return value


def _count(found: SourceFile) -> int | None:
    """Rows of a large file: exact where that needs no parsing."""
    if found.kind in ("jsonl", "text"):
        return _count_lines(found)
    if found.kind == "parquet":
        import duckdb

        with duckdb.connect() as connection:
            counted = connection.execute("select count(*) from read_parquet(?)", [str(found.path)]).fetchone()
            return int(counted[0]) if counted else None
    return None


def _count_lines(found: SourceFile) -> int:
    """Lines that are not blank; a blank line is taken to be empty or a lone carriage return."""
    lines, last = 0, b"\n"
    with readable(found.path), found.open() as stream:
        while block := stream.read(4 << 20):
            joined = last + block
            blank = joined.count(b"\n\n") + joined.count(b"\n\r\n")
            lines += block.count(b"\n") - blank
            last = block[-2:] if block.endswith(b"\r") else block[-1:]
    return lines + (last[-1:] != b"\n")
