"""The rows of tables as JSON text: CSV, Excel, and the columnar formats."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ftsdk.data.formats.catalog import ROLE_KEYS, SPELLINGS
from ftsdk.data.formats.files import LINE_BYTES_MAX, SourceFile
from ftsdk.data.formats.json_array import BadRow, not_utf8
from ftsdk.errors import DataError

_LIST_COLUMNS = frozenset(
    name for role in ("messages", "history", "images", "videos", "audios") for name in SPELLINGS[role]
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from nanoarrow import ArrayStream
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
_NO_NUMBER = re.compile(r"[:\[,]\s*-?(?:NaN|Infinity|nan|inf)")


def csv_rows(stream: BinaryIO, delimiter: str) -> Iterator[str | BadRow]:
    """Records as JSON objects by the names of the header."""
    csv.field_size_limit(LINE_BYTES_MAX)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            yield BadRow("bad_record", f"is not valid CSV ({error}); check its quotes")
            continue
        if record is None:
            return
        if not record:
            continue
        if header is None:
            header, fault = _header(record)
            if fault:
                yield fault
                return
            continue
        yield _csv_row(header, record)


def _header(record: list[str]) -> tuple[list[str], BadRow | None]:
    """Column names, and what is wrong with them. A column without a name, such as pandas' index, gets one."""
    names = [name.strip() or f"column_{number}" for number, name in enumerate(record, 1)]
    other = next((mark for mark in _OTHER_SEPARATORS if len(names) == 1 and mark in names[0]), None)
    if other:
        why = f"has one column, {names[0]!r}: its fields seem to be separated by {_OTHER_SEPARATORS[other]}"
        return names, BadRow("bad_record", f"{why}; save it with commas, or as .tsv with tabs", whole_file=True)
    doubles = [name for name in names if names.count(name) > 1]
    if not doubles:
        return names, None
    why = f"has a header that names the column {doubles[0]} twice; give each column its own name"
    return names, BadRow("bad_record", why, whole_file=True)


def _csv_row(header: list[str], record: list[str]) -> str | BadRow:
    if len(record) != len(header):
        why = f"has {len(record)} fields, the header has {len(header)}; check its quotes and commas"
        return BadRow("bad_record", why)
    return _json_text({name: _cell(name, value) for name, value in zip(header, record, strict=True)})


def _cell(name: str, value: object) -> object:
    """A cell as it is, unless it holds the JSON of a chat, or of a list in a column that is one by its name."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        inner = json.loads(value)
    except (ValueError, RecursionError):
        return value
    if name.lower() in _LIST_COLUMNS and isinstance(inner, list):
        return inner
    messages = inner if isinstance(inner, list) else [inner]
    return inner if messages and all(map(_is_message, messages)) else value


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and any(isinstance(value.get(key), str) for key in ROLE_KEYS)


def _json_text(row: dict[str, object]) -> str | BadRow:
    text = json.dumps(row, ensure_ascii=False, default=str)
    return not_utf8(text) or text


def excel_rows(source: SourceFile) -> Iterator[str | BadRow]:
    """Records of the first sheet. Raises DataError for what is no Excel file."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise DataError(
            f"{source.path} is an Excel file; pip install 'ftsdk[excel]' to read it, or save it as CSV."
        ) from error
    try:
        book = load_workbook(source.path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises zipfile, KeyError and its own errors for a broken file
        raise DataError(f"{source.path} is not a readable Excel file: {error}.") from error
    try:
        yield from _sheet_rows(book.worksheets[0].iter_rows(values_only=True))
    finally:
        book.close()


def _sheet_rows(records: Iterator[tuple[object, ...]]) -> Iterator[str | BadRow]:
    titles = next(records, ())
    width = max((number for number, cell in enumerate(titles, 1) if cell is not None), default=0)
    header, fault = _header(["" if cell is None else str(cell) for cell in titles[:width]])
    if fault:
        yield fault
        return
    for record in records:
        cells = record[:width]
        if any(cell is not None for cell in cells):
            yield _json_text({name: _cell(name, value) for name, value in zip(header, cells, strict=False)})


def column_rows(source: SourceFile) -> Iterator[str | BadRow]:
    """Rows of a Parquet or Arrow file. Raises DataError for what cannot be read as one."""
    import duckdb

    with duckdb.connect(config={"memory_limit": "1GB", "threads": 1}) as connection:
        try:
            table = "read_parquet(?)" if source.kind == "parquet" else "arrow_file"
            if source.kind == "arrow":
                connection.register("arrow_file", _arrow_stream(source))
            result = connection.execute(
                f"select to_json(ftsdk_row)::varchar from {table} ftsdk_row",  # no column is called so
                [str(source.path)] if source.kind == "parquet" else [],
            )
            yield from _fetched(result)
        except (duckdb.Error, RuntimeError) as error:  # nanoarrow's error is a RuntimeError
            reason = str(error).splitlines()[0]
            raise DataError(f"{source.path} is not a readable {source.kind.title()} file: {reason}.") from error


def _fetched(result: DuckDBPyConnection) -> Iterator[str | BadRow]:
    while rows := result.fetchmany(2048):
        for (text,) in rows:
            yield _finite(text) if _NO_NUMBER.search(text) else text


def _finite(text: str) -> str:
    """NaN and infinity, which a column of numbers may hold and JSON may not, become null."""
    return json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False)


def _arrow_stream(source: SourceFile) -> ArrayStream:
    """Record batches of an Arrow file or stream: a file is a stream between two marks (Arrow columnar format 1.5)."""
    from nanoarrow import ArrayStream
    from nanoarrow.ipc import InputStream

    stream = source.open()
    if stream.read(6) == b"ARROW1":
        stream.read(2)
    else:
        stream.seek(0)
    return ArrayStream(InputStream.from_readable(stream))
