"""The rows of data files as plain Python values, without the type inference of `datasets`.

`datasets` guesses a column's type from its first 10 MB: ISO dates become timestamps, an object with a new key fails.
Here a row keeps its JSON types, and goes to the trainer as one JSON text in a table of two string-like columns.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from datasets import Dataset

    from ftsdk.contract.foreign import JsonObject

TEXT, WHERE = "ftsdk_json", "ftsdk_where"
"""Columns of the table: the row as a JSON text, and where it is from, such as `row 3 of train.json`."""
EXTENSIONS: Mapping[str, str] = {
    "arrow": "arrow", "csv": "csv", "feather": "arrow", "gz": "json", "ipc": "arrow", "json": "json", "jsonl": "json",
    "ndjson": "json", "parquet": "parquet", "tsv": "csv", "txt": "text", "zst": "json",
}  # fmt: skip
"""Extension of a file -> the reader that LLaMA-Factory would choose for it."""
WRAPPERS = ("data", "rows", "train", "examples", "instances", "items", "records")
"""Names under which an object holds the rows of a file."""
_ROW_CHARS_MAX = 256 << 20
_CHUNK_CHARS = 4 << 20
_SEPARATOR = re.compile(r"[ \t\r\n,\[\]]*")
_VERSION = "2"
"""Part of the cache's key: raised when the same file would give other rows."""


def table(paths: Iterable[Path | str]) -> Dataset:
    """A table of TEXT and WHERE with the rows of files, in the order of their names.

    It is written to the cache folder of `datasets` in bounded memory, and found there again for the same files.
    Raises ValueError in one sentence for a row that is not an object and a file of an unknown kind.
    """
    from datasets import Dataset, Features, Value, config
    from datasets.arrow_writer import ArrowWriter

    files = sorted(Path(path) for path in paths)
    target = Path(config.HF_DATASETS_CACHE, "ftsdk", _key(files), "rows.arrow")
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        with ArrowWriter(path=str(part), features=Features({TEXT: Value("string"), WHERE: Value("string")})) as writer:
            for where, row in (item for file in files for item in read(file)):
                writer.write({TEXT: json.dumps(row, ensure_ascii=False, default=str), WHERE: where})
            writer.finalize()
        part.replace(target)
    return Dataset.from_file(str(target))


def _key(files: Iterable[Path]) -> str:
    stats = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps([_VERSION, stats]).encode()).hexdigest()[:32]


def read(path: Path) -> Iterator[tuple[str, JsonObject]]:
    """(where, row) of every row of a file; where is such as `row 3 of train.json`. Raises ValueError."""
    for number, row in enumerate(_reader(path)(path), 1):
        where = f"row {number} of {path.name}"
        if not isinstance(row, dict):
            raise ValueError(f"{where} is no object with named columns.")
        yield where, row


def _reader(path: Path) -> Callable[[Path], Iterator[object]]:
    is_packed = path.suffix.lower() in (".gz", ".zst")
    suffix = Path(path.stem if is_packed else path.name).suffix.lower().removeprefix(".")
    readers = {"json": _json, "csv": _csv, "text": _lines, "parquet": _parquet, "arrow": _arrow}
    if suffix not in EXTENSIONS:
        raise ValueError(f"{path.name} is of no kind that the trainer reads; save it as .jsonl.")
    return readers[EXTENSIONS[suffix]]


def _text(path: Path) -> TextIO:
    """The text of a file, decompressed: UTF-8, or UTF-16 where its first bytes say so."""
    import pyarrow as pa

    stream = io.BufferedReader(pa.input_stream(str(path), compression="detect"), _CHUNK_CHARS)
    wide = stream.peek(2).startswith((b"\xff\xfe", b"\xfe\xff"))
    return io.TextIOWrapper(stream, encoding="utf-16" if wide else "utf-8-sig", newline="")


# --- JSON
def _json(path: Path) -> Iterator[object]:
    """Elements of an array, or values one after the other, with or without line breaks inside."""
    decoder, text, position, number = json.JSONDecoder(), "", 0, 0
    with _text(path) as stream:
        while True:
            position = _end_of_separator(text, position)
            if position == len(text):
                text, position = stream.read(_CHUNK_CHARS), 0
                if not text:
                    return
                continue
            try:
                value, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError as error:
                more = stream.read(max(_CHUNK_CHARS, len(text) - position)) if len(text) < _ROW_CHARS_MAX else ""
                if not more:
                    raise ValueError(f"row {number + 1} of {path.name} is not valid JSON: {error.msg}.") from None
                text, position = text[position:] + more, 0
                continue
            number += 1
            wrapped = _wrapped_rows(value) if number == 1 else []
            if wrapped and not text[position:].strip():
                text, position = stream.read(_CHUNK_CHARS), 0
                if not text.strip():
                    yield from wrapped
                    return
            yield value


def _wrapped_rows(value: object) -> list[object]:
    """The rows in an object that holds them in a list after plain values, as `{"version": "1", "data": [{...}]}`."""
    for name, held in value.items() if isinstance(value, dict) else ():
        if isinstance(held, list) and name in WRAPPERS and held and isinstance(held[0], dict):
            return list(held)
        if isinstance(held, dict | list):
            return []
    return []


def _end_of_separator(text: str, position: int) -> int:
    """Where the next value begins: the brackets of an outer array, commas and white space lie between values."""
    match = _SEPARATOR.match(text, position)
    return match.end() if match else position


# --- tables
def _csv(path: Path) -> Iterator[JsonObject]:
    """Records by the names of the header; every cell is text, but the JSON of a list stays a list."""
    csv.field_size_limit(_ROW_CHARS_MAX)
    with _text(path) as stream:
        records = csv.reader(stream, delimiter="\t" if ".tsv" in path.suffixes else ",", strict=True)
        header = [name.strip() or f"column_{number}" for number, name in enumerate(next(records, []), 1)]
        for record in filter(None, records):
            yield {name: _cell(value) for name, value in zip(header, record, strict=True)}


def _cell(value: str) -> object:
    if not value.lstrip().startswith("[{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with _text(path) as stream:
        for line in stream:
            if line.strip():
                yield {"text": line.rstrip("\r\n")}


def _parquet(path: Path) -> Iterator[JsonObject]:
    from pyarrow import parquet

    for batch in parquet.ParquetFile(path).iter_batches(1024):
        yield from batch.to_pylist()


def _arrow(path: Path) -> Iterator[JsonObject]:
    import pyarrow as pa

    with path.open("rb") as stream:
        is_file = stream.read(6) == b"ARROW1"
    source = pa.memory_map(str(path))
    if is_file:
        reader = pa.ipc.open_file(source)
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        batches = iter(pa.ipc.open_stream(source))
    for batch in batches:
        yield from batch.to_pylist()
