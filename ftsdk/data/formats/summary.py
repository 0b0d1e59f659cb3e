"""A summary of one file: kind, number of rows, columns, sample rows and format.

Small files are read whole with plain Python, which is done before an engine would be loaded; large ones by their
first batch, and their rows are only counted.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ftsdk.data.formats.detection import Detected, detect
from ftsdk.data.formats.files import SourceFile, readable, source
from ftsdk.data.formats.forms import REASON, may_differ
from ftsdk.data.formats.rows import Batch, batches
from ftsdk.data.formats.unused import FieldCounts
from ftsdk.errors import DataError

SMALL_BYTES = 8 << 20
SAMPLE_ROWS = 100
_TRAINER_KINDS = ("json", "jsonl", "parquet", "arrow", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSummary:
    """Kind, size, columns, sample rows and format of a file."""

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
    sample_rows: tuple[dict[str, object], ...]
    """The first rows, at most 100."""
    detected: Detected
    """Format, columns and tags, and why."""
    convert_first: str
    """Why LLaMA-Factory cannot load the file as it is; empty if it can."""
    unused: tuple[str, ...]
    """Columns and message fields that the training does not use; of a large file those of the sample rows."""


def describe_file(
    path: str | Path,
    *,
    method: str | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> FileSummary:
    """Summarize one local file. What `format`, `columns` and `tags` do not specify is detected.

    Raises DataError in one sentence for a file that is missing, empty, unreadable, not UTF-8 or broken (with the
    row), or whose columns fit no format. Of a file over 8 MB only the beginning is read; `check` reads all of it.
    """
    file = source(path)
    size_bytes = file.path.stat().st_size
    is_small = size_bytes <= SMALL_BYTES
    rewritten = Counter[str]()
    parts = batches(file) if is_small else itertools.islice(batches(file, batch_bytes=1 << 20), 1)
    parsed = _parsed_rows(file, _counted(parts, rewritten))
    rows = list(itertools.islice(parsed, SAMPLE_ROWS))
    if not rows:
        raise DataError(f"{file.path} has no rows; write at least one.")
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    detected = detect(
        names, rows, method=method, format=format, given_columns=columns, given_tags=tags, where=str(path)
    )
    counts = FieldCounts()
    for row in itertools.chain(rows, parsed if is_small else ()):
        counts.add(row, detected)
    differs = bool(rewritten.total()) or (not is_small and _may_differ(file))
    return FileSummary(
        path=str(path),
        kind=file.kind,
        compression=file.compression,
        size_bytes=size_bytes,
        num_rows=counts.num_rows if is_small else _count(file),
        columns=names,
        sample_rows=tuple(rows),
        detected=detected,
        convert_first=_kind_reason(file) or detected.convert_first or (REASON if differs else ""),
        unused=tuple(counts.unused(detected)),
    )


def _counted(parts: Iterator[Batch], rewritten: Counter[str]) -> Iterator[Batch]:
    """The batches; counts their rows that the file has in another form."""
    for batch in parts:
        rewritten["rows"] += batch.rewritten
        yield batch


def _kind_reason(file: SourceFile) -> str:
    """Why the trainer's loader would not take this kind of file (LLaMA-Factory 0.9.5, `extras/constants.py`)."""
    if file.compression:
        return f"it is compressed with {file.compression}"
    if file.kind == "csv":
        return "CSV has no types: the trainer's reader makes numbers of numerals and nothing of 'NA'"
    return "" if file.kind in _TRAINER_KINDS else f"the trainer does not read {file.kind} files"


def _parsed_rows(file: SourceFile, parts: Iterator[Batch]) -> Iterator[dict[str, object]]:
    for batch in parts:
        for fault in batch.faults:
            where = f", {file.row_word} {fault.row}," if fault.row else ""
            raise DataError(f"{file.path}{where} {fault.message}; `ftsdk data check` lists every such row.")
        for row, text in batch.rows():
            yield _object(file, row, text)


def _object(file: SourceFile, row: int, text: bytes) -> dict[str, object]:
    where = f"{file.path}, {file.row_word} {row},"
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


def _may_differ(file: SourceFile) -> bool:
    """Whether rows after the first ones may be in another form; only for files whose text can be searched."""
    if file.kind not in ("jsonl", "json"):
        return False
    with readable(file.path), file.open() as stream:
        return any(may_differ(block) for block in iter(lambda: stream.read(4 << 20), b""))


def _count(file: SourceFile) -> int | None:
    """Rows of a large file: exact where that needs no parsing."""
    if file.kind in ("jsonl", "text"):
        return _count_lines(file)
    if file.kind == "parquet":
        import duckdb

        with duckdb.connect() as connection:
            counted = connection.execute("select count(*) from read_parquet(?)", [str(file.path)]).fetchone()
            return int(counted[0]) if counted else None
    return None


def _count_lines(file: SourceFile) -> int:
    """Lines that are not blank; a blank line is taken to be empty or a lone carriage return."""
    lines, last = 0, b"\n"
    with readable(file.path), file.open() as stream:
        while block := stream.read(4 << 20):
            joined = last + block
            blank = joined.count(b"\n\n") + joined.count(b"\n\r\n")
            lines += block.count(b"\n") - blank
            last = block[-2:] if block.endswith(b"\r") else block[-1:]
    return lines + (last[-1:] != b"\n")
