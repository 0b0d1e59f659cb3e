"""Converting data: into another format, or into a form that the trainer can load."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ftsdk.data.checks.report import CODES
from ftsdk.data.formats.catalog import FORMATS
from ftsdk.data.formats.example import Example, WrittenRow, read_example, write_example
from ftsdk.data.formats.files import DataFile, new_file
from ftsdk.data.formats.opening import OpenFile, open_valid_files
from ftsdk.data.formats.rows import batches
from ftsdk.data.formats.rules import Rules, parse
from ftsdk.errors import DataError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a conversion wrote."""

    output: str
    format: str
    num_rows: int
    left_out: int
    """Rows that the new format cannot express (answers labelled bad, in a format of good answers)."""
    comments_left_out: int = 0
    """Text of the model beside a tool call: only openai can hold it, and the trainer never learns it."""


def convert(
    paths: Iterable[str | Path | DataFile],
    output: str | Path,
    *,
    to: str,
    method: str | None = None,
    move_media: bool = True,
) -> Converted:
    """Write the rows of files, folders and patterns as JSON Lines of format `to`, one row after the other.

    Pairs and labelled answers become instruction data by their good answers. Relative paths of images, videos and
    audios are written relative to the output's folder; without `move_media` they stay as they are.

    Raises DataError for a faulty row, for a row that the new format cannot hold, and for an output that exists.
    """
    if to not in FORMATS:
        raise DataError(f"Unknown format '{to}'{did_you_mean(to, FORMATS)}; known: {', '.join(FORMATS)}.")
    files = open_valid_files(paths, method)
    as_chat = any(_is_chat(file.rules) for file in files)
    num_rows = left_out = comments = 0
    with new_file(output) as stream:
        for file in files:
            for row, value in _rows(file):
                example = read_example(value, file.rules)
                if move_media and example.media:
                    example = replace(example, media=_moved(example.media, file.rules.folder, Path(output).parent))
                converted = _converted(file, row, example, to, as_chat=as_chat)
                num_rows, left_out = num_rows + (converted is not None), left_out + (converted is None)
                comments += sum(bool(turn.comment) for turn in example.turns) if to != "openai" else 0
                if converted is not None:
                    stream.write(json.dumps(converted, ensure_ascii=False).encode() + b"\n")
    return Converted(output=str(output), format=to, num_rows=num_rows, left_out=left_out, comments_left_out=comments)


def convert_for_trainer(
    path: str | Path | DataFile,
    output: str | Path,
    *,
    method: str | None = None,
    move_media: bool = True,
) -> Converted:
    """Write one file in a form that LLaMA-Factory loads: for files whose `FileSummary.convert_first` is set.

    The format is kept, except that chats become `sharegpt`: the trainer misreads tool calls in OpenAI's form.
    """
    file = open_valid_files([path], method)[0]
    to = "sharegpt" if file.detected.format == "openai" else file.detected.format
    return convert([path], output, to=to, method=method, move_media=move_media)


def _moved(media: dict[str, list[object]], old: Path, new: Path) -> dict[str, list[object]]:
    """Relative paths as seen from another folder."""
    return {role: [_moved_item(item, old, new) for item in items] for role, items in media.items()}


def _moved_item(item: object, old: Path, new: Path) -> object:
    """An item of a media column; addresses and pictures inside of rows stay as they are."""
    if isinstance(item, list):  # the frames of a video
        return [_moved_item(frame, old, new) for frame in item]
    if not isinstance(item, str) or "://" in item or Path(item).is_absolute():
        return item
    return os.path.relpath(old / item, new)


def _is_chat(rules: Rules) -> bool:
    """Whether prompts and answers of a file are, or may be, more than one text each."""
    shapes = {rules.prompt_shape, rules.answer_shape}
    return bool({"messages", "history", "tools"} & set(rules.columns)) or shapes != {"text"}


def _rows(file: OpenFile) -> Iterator[tuple[int, dict[str, object]]]:
    """(row number, row) of each row. Raises DataError at the first row with an error."""
    for batch in batches(file.source):
        for fault in batch.faults:
            raise _refusal(file, fault.row, fault.message)
        for row, text in batch.rows():
            value, faults = parse(text.decode())
            if value is not None:
                faults = [*faults, *file.rules.row_faults(value)]
            bad = [message for code, message in faults if CODES[code][0] == "error" and code != "missing_media"]
            if bad or value is None:
                raise _refusal(file, row, bad[0])
            yield row, value


def _refusal(file: OpenFile, row: int | None, message: str) -> DataError:
    where = f", {file.source.row_word} {row}" if row else ""
    return DataError(
        f"{file.name}{where}: {message}; `ftsdk data check` lists every such row, "
        f"and with --fix it leaves them out if they are few."
    )


def _converted(file: OpenFile, row: int, example: Example, to: str, *, as_chat: bool) -> WrittenRow | None:
    try:
        return write_example(example, to, as_chat=as_chat)
    except DataError as error:
        raise DataError(f"{file.name}, {file.source.row_word} {row}: {error} (converting to {to}).") from error
