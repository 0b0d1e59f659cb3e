"""Data files opened for reading their rows: source, detected format and row rules of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ftsdk.data.formats.catalog import FORMATS
from ftsdk.data.formats.chat import Fault
from ftsdk.data.formats.detection import Detected, detect
from ftsdk.data.formats.files import MARK, TEXT_KINDS, DataFile, SourceFile, expand
from ftsdk.data.formats.rows import batches
from ftsdk.data.formats.rules import Rules, parse
from ftsdk.errors import DataError

SAMPLE_ROWS = 200


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file whose format has been detected from its first rows."""

    index: int
    source: SourceFile
    detected: Detected
    """Without a format if none fits; only the JSON of the rows can be checked then."""
    rules: Rules
    held_out: bool
    faults: tuple[Fault, ...]
    """What is wrong with the whole file."""

    @property
    def name(self) -> str:
        return str(self.source.path)


def open_files(
    paths: Iterable[str | Path | DataFile], eval_paths: Iterable[str | Path | DataFile] = (), *, method: str | None
) -> list[OpenFile]:
    """Open training files and held-out files; what is wrong with a file is in its `faults`.

    Raises DataError for a path that matches no file and for an unknown kind; an empty file has no format.
    """
    sources = [
        (source, file, held_out)
        for side, held_out in ((paths, False), (eval_paths, True))
        for file in (path if isinstance(path, DataFile) else DataFile(path=path) for path in side)
        for source in expand([file.path], may_be_empty=True)
    ]
    return [_open(index, *source, method) for index, source in enumerate(sources)]


def open_valid_files(paths: Iterable[str | Path | DataFile], method: str | None) -> list[OpenFile]:
    """`open_files`, which raises DataError also for a file without a format."""
    files = open_files(paths, method=method)
    for file in files:
        if not file.detected.format:
            raise DataError(file.detected.why or f"{file.name} has no rows that can be read.")
    return files


def _open(index: int, source: SourceFile, file: DataFile, held_out: bool, method: str | None) -> OpenFile:
    rows = sample_rows(source)
    detected = _detected(source, file, rows, method)
    faults: list[Fault] = []
    if source.kind in TEXT_KINDS and source.head().startswith(MARK):
        faults.append(("leading_mark", "begins with a byte-order mark, which readers step over"))
    odd = [name for name in detected.columns.values() if name != name.strip()]
    faults += [("odd_name", f"the column {name!r} is read as {name.strip()!r}") for name in odd]
    if rows and (mismatch := _mismatch(detected, method)):
        faults.append(("wrong_format", mismatch))
    return OpenFile(index, source, detected, Rules(detected, rows, source.path.parent), held_out, tuple(faults))


def _mismatch(detected: Detected, method: str | None) -> str:
    """Why the method cannot train on the format; empty if it can."""
    if not detected.format:
        return detected.why
    info = FORMATS[detected.format]
    if not method or not info.methods or method in info.methods:
        return ""
    accepted = ", ".join(name for name, info in FORMATS.items() if method in info.methods)
    return f"is {info.name} ({info.meaning}), which {method} cannot train on; {method} takes {accepted}"


def _detected(source: SourceFile, file: DataFile, rows: list[dict[str, object]], method: str | None) -> Detected:
    if not rows and not source.path.stat().st_size:
        return Detected(format="", columns={}, why=f"{source.path} is empty; write at least one row into it.")
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    try:
        return detect(
            names, rows, method=method, format=file.format, given_columns=file.columns, given_tags=file.tags,
            where=source.path.name,
        )  # fmt: skip
    except DataError as error:
        return Detected(format="", columns={}, why=str(error))


def sample_rows(source: SourceFile) -> list[dict[str, object]]:
    """The first rows (at most 200) that are whole objects."""
    rows: list[dict[str, object]] = []
    for batch in itertools.islice(batches(source, batch_bytes=1 << 20), 4):
        parsed = (parse(text.decode())[0] for _, text in batch.rows())
        rows += itertools.islice((row for row in parsed if row), SAMPLE_ROWS - len(rows))
        if len(rows) >= SAMPLE_ROWS:
            break
    return rows
