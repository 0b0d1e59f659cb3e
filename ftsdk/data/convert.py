"""Rewriting data: into another format, and into what the trainer can load."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ftsdk.data.checks.check import opened
from ftsdk.data.checks.report import CODES, Collector
from ftsdk.data.checks.rules import Rules, parse
from ftsdk.data.checks.scan import ScannedFile
from ftsdk.data.formats.example import Example, read_example, write_example
from ftsdk.data.formats.files import expand
from ftsdk.data.formats.registered import DataFile, shaped
from ftsdk.data.formats.rows import batches
from ftsdk.data.formats.shapes import FORMATS
from ftsdk.errors import DataError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a conversion wrote."""

    output: str
    format: str
    num_rows: int
    left_out: int
    """Rows that have no place in the new format (answers marked bad, in a format of good answers)."""
    comments_left_out: int = 0
    """What the model said beside a tool call: only openai holds it, and the trainer never learns it."""


def convert(
    paths: Iterable[str | Path | DataFile],
    output: str | Path,
    *,
    to: str,
    method: str | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Converted:
    """Write the rows of files, folders and patterns as JSON Lines of format `to`, one row after the other.

    Pairs and labelled answers become instruction data by their good answers. Raises DataError for a faulty row, for
    a row that the new format cannot hold, and for an output that exists.
    """
    if to not in FORMATS:
        raise DataError(f"Unknown format '{to}'{did_you_mean(to, FORMATS)}; known: {', '.join(FORMATS)}.")
    files = open_files(paths, method, format, columns, tags)
    as_chat = any(_is_chat(file.rules) for file in files)
    num_rows = left_out = comments = 0
    with new_file(output) as stream:
        for file in files:
            for row, value in _rows(file):
                example = read_example(value, file.rules)
                made = _written(file, row, example, to, as_chat=as_chat)
                num_rows, left_out = num_rows + (made is not None), left_out + (made is None)
                comments += sum(bool(turn.comment) for turn in example.turns) if to != "openai" else 0
                if made is not None:
                    stream.write(json.dumps(made, ensure_ascii=False).encode() + b"\n")
    return Converted(output=str(output), format=to, num_rows=num_rows, left_out=left_out, comments_left_out=comments)


def convert_for_trainer(
    path: str | Path | DataFile,
    output: str | Path,
    *,
    method: str | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Converted:
    """Write one file in a form that LLaMA-Factory loads: for files whose `FileSummary.convert_first` is set.

    The format stays, but chat becomes `sharegpt` (tool calls in OpenAI's form are not loaded rightly).
    """
    file = open_files([path], method, format, columns, tags)[0]
    to = "sharegpt" if file.detected.format == "openai" else file.detected.format
    return convert([path], output, to=to, method=method, format=format, columns=columns, tags=tags)


def new_file(path: str | Path) -> BinaryIO:
    """Open a file that must not exist yet, with the folders above it: nothing is ever overwritten."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        return target.open("xb")
    except FileExistsError as error:
        raise DataError(f"{target} exists; choose another output or remove it.") from error


def open_files(
    paths: Iterable[str | Path | DataFile],
    method: str | None,
    format: str | None,
    columns: Mapping[str, str] | None,
    tags: Mapping[str, str] | None,
) -> list[ScannedFile]:
    collector = Collector()
    files = []
    shapes = [(found, shape) for shape in shaped(paths, format, columns, tags) for found in expand([shape.path])]
    for index, (found, shape) in enumerate(shapes):
        file = opened(index, found, shape, False, method, collector)
        if not file.detected.format:
            raise DataError(file.detected.why or f"{file.name} has no rows that can be read.")
        files.append(file)
    return files


def _is_chat(rules: Rules) -> bool:
    """Whether prompts and answers of a file are, or may be, more than one text each."""
    shapes = {rules.prompt_shape, rules.answer_shape}
    return bool({"messages", "history", "tools"} & set(rules.columns)) or shapes != {"text"}


def _rows(file: ScannedFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows that are right. Raises DataError at the first that is not."""
    for batch in batches(file.source):
        for fault in batch.faults:
            raise _refusal(file, fault.row, fault.message)
        for row, text in batch.rows():
            value, found = parse(text.decode())
            faults = found if value is None else [*found, *file.rules.row_faults(value)]
            bad = [message for code, message in faults if CODES[code][0] == "error" and code != "missing_media"]
            if bad or value is None:
                raise _refusal(file, row, bad[0])
            yield row, value


def _refusal(file: ScannedFile, row: int | None, message: str) -> DataError:
    where = f", {file.source.row_word} {row}" if row else ""
    return DataError(f"{file.name}{where}: {message}; clean it first with `ftsdk data check --fix`.")


def _written(file: ScannedFile, row: int, example: Example, to: str, *, as_chat: bool) -> dict[str, Any] | None:
    try:
        return write_example(example, to, as_chat=as_chat)
    except DataError as error:
        raise DataError(f"{file.name}, {file.source.row_word} {row}: {error} (converting to {to}).") from error
