"""The rows of a file as JSON text, in bounded batches, with every unreadable row named.

All kinds of files become the same thing: batches of texts, one JSON value a row. So there is one set of checks, and
a columnar engine can take a batch as one buffer.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from ftsdk.data.formats.files import LINE_BYTES_MAX, MARK, TEXT_KINDS, SourceFile, is_utf16, readable
from ftsdk.data.formats.forms import may_differ, usual_text
from ftsdk.data.formats.json_array import BadRow, array_elements
from ftsdk.data.formats.tables import column_rows, csv_rows, excel_rows
from ftsdk.errors import DataError

BATCH_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that is not even a value, or a fault of the whole file (row None)."""

    row: int | None
    code: str
    message: str


@dataclass(slots=True)
class Batch:
    """Consecutive rows: row `first_row + i` is `texts[i]`; a faulty row is an empty text."""

    first_row: int
    texts: list[bytes]
    """JSON of one row each, valid UTF-8 (apart from that, nothing is checked yet)."""
    data: bytes
    """The texts joined by line feeds, for the engine."""
    faults: list[RowFault] = field(default_factory=list)
    rewritten: int = 0
    """Rows that the file has in another form (see `forms`)."""

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """(row number, JSON text) of every row that is neither blank nor faulty."""
        for row, text in enumerate(self.texts, self.first_row):
            if text and not text.isspace():
                yield row, text


def batches(source: SourceFile, *, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
    """The rows of a file. Memory is bounded by a few times `batch_bytes`, or by the longest row.

    Raises DataError only if nothing at all can be read (no access, not what its name says).
    """
    readers: dict[str, Callable[[SourceFile, int], Iterator[Batch]]] = {
        "jsonl": _line_batches, "text": _text_batches, "json": _array_batches, "csv": _csv_batches,
        "tsv": _csv_batches, "excel": _excel_batches, "parquet": _column_batches, "arrow": _column_batches,
    }  # fmt: skip
    with readable(source.path):
        if source.kind in TEXT_KINDS and is_utf16(source.head()):
            yield Batch(1, [], b"", [RowFault(None, "encoding", "is UTF-16; save it as UTF-8")])
            return
        yield from map(_in_usual_form, readers[source.kind](source, batch_bytes))


def _in_usual_form(batch: Batch) -> Batch:
    if not may_differ(batch.data):
        return batch
    usual = [usual_text(text) if may_differ(text) else text for text in batch.texts]
    rewritten = sum(new is not old for new, old in zip(usual, batch.texts, strict=True))
    return replace(batch, texts=usual, data=b"\n".join(usual), rewritten=rewritten) if rewritten else batch


def _line_batches(source: SourceFile, batch_bytes: int) -> Iterator[Batch]:
    with source.open() as stream:
        row = 1
        for block in _blocks_of_lines(stream, source, batch_bytes):
            data = block.removesuffix(b"\n")
            if row == 1:
                data = data.removeprefix(MARK)
            lines, faults = _checked_lines(data, row)
            yield Batch(row, lines, b"\n".join(lines) if faults else data, faults)
            row += len(lines)


def _blocks_of_lines(stream: BinaryIO, source: SourceFile, batch_bytes: int) -> Iterator[bytes]:
    """Blocks that end at a line's end; only the last may end without one."""
    rest = b""
    while data := stream.read(batch_bytes):
        head, newline, tail = data.rpartition(b"\n")
        if newline:
            yield rest + head + newline
            rest = tail
        else:
            rest += data
        if len(rest) > LINE_BYTES_MAX:
            raise DataError(f"{source.path} has a line of more than {LINE_BYTES_MAX >> 20} MB; is it JSON Lines?")
    if rest:
        yield rest


def _checked_lines(data: bytes, first_row: int) -> tuple[list[bytes], list[RowFault]]:
    """Lines of a block; one that is not UTF-8 becomes empty and is named with the byte at fault."""
    lines = data.split(b"\n")
    if data.isascii() or _decodes(data, "utf-8"):
        return lines, []
    faults: list[RowFault] = []
    for offset, line in enumerate(lines):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            lines[offset] = b""
            faults.append(RowFault(first_row + offset, "encoding", encoding_message(line, error.start)))
    return lines, faults


def encoding_message(line: bytes, position: int) -> str:
    """What is wrong with bytes that are not UTF-8, with a guess at what they are."""
    guess = next((name for name in ("gb18030", "cp1252") if _decodes(line, name)), "")
    names = {"gb18030": "GBK", "cp1252": "Windows-1252"}
    hint = f" (it could be {names[guess]})" if guess else ""
    return f"is not UTF-8: byte 0x{line[position]:02x} at position {position + 1}{hint}; save the file as UTF-8"


def _decodes(data: bytes, name: str) -> bool:
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return False
    return name != "gb18030" or sum("\u4e00" <= c <= "\u9fff" for c in text) >= 2


def _text_batches(source: SourceFile, batch_bytes: int) -> Iterator[Batch]:
    for batch in _line_batches(source, batch_bytes):
        rows = ({"text": line.decode().rstrip("\r")} if line.strip() else None for line in batch.texts)
        texts = [json.dumps(row, ensure_ascii=False).encode() if row else b"" for row in rows]
        yield Batch(batch.first_row, texts, b"\n".join(texts), batch.faults)


class _Packer:
    """Collects the JSON texts of consecutive rows into batches."""

    def __init__(self) -> None:
        self.size = 0
        self._first_row = 1
        self._parts: list[bytes] = []
        self._faults: list[RowFault] = []

    def add(self, row: str | BadRow) -> None:
        """Take the next row or the fault in its place."""
        if isinstance(row, str):
            self._parts.append(row.encode())
            self.size += len(row)
            return
        here = self._first_row + len(self._parts)
        self._faults.append(RowFault(None if row.whole_file else here, row.code, row.message))
        if not row.whole_file:
            self._parts.append(b"")

    def flush(self) -> Batch:
        """What has been collected."""
        batch = Batch(self._first_row, self._parts, b"\n".join(self._parts), self._faults)
        self._first_row += len(self._parts)
        self._parts, self._faults, self.size = [], [], 0
        return batch


def _packed(rows: Iterator[str | BadRow], batch_bytes: int) -> Iterator[Batch]:
    packer = _Packer()
    for row in rows:
        packer.add(row)
        if packer.size >= batch_bytes:
            yield packer.flush()
    yield packer.flush()


def _array_batches(source: SourceFile, batch_bytes: int) -> Iterator[Batch]:
    with source.open() as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        yield from _packed(array_elements(text, batch_bytes), batch_bytes)


def _csv_batches(source: SourceFile, batch_bytes: int) -> Iterator[Batch]:
    with source.open() as stream:
        yield from _packed(csv_rows(stream, "\t" if source.kind == "tsv" else ","), batch_bytes)


def _excel_batches(source: SourceFile, batch_bytes: int) -> Iterator[Batch]:
    yield from _packed(excel_rows(source), batch_bytes)


def _column_batches(source: SourceFile, batch_bytes: int) -> Iterator[Batch]:
    yield from _packed(column_rows(source), batch_bytes)


def one_line(text: bytes) -> bytes:
    """The JSON text of a row without line breaks (an element of a JSON list may span several lines)."""
    stripped = text.strip()
    if b"\n" not in stripped and b"\r" not in stripped:
        return stripped
    return json.dumps(json.loads(stripped), ensure_ascii=False).encode()
