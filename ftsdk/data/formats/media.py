"""The images, videos and audio files that rows name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ftsdk.data.formats.files import source
from ftsdk.data.formats.rows import batches
from ftsdk.errors import DataError

ROLES = ("images", "videos", "audios")


def media_files(path: Path, columns: Mapping[str, str], folder: Path) -> list[Path]:
    """Files below `folder` that the rows of a data file name, each once. Raises DataError for one that is not there.

    Addresses and pictures inside the rows need no file.
    """
    names = [columns[role] for role in ROLES if role in columns]
    references = dict.fromkeys(item for row in _rows(path) for name in names for item in _paths(row.get(name)))
    for item in references:
        if not _is_below(folder, item):
            raise DataError(f"{path} names {item}, which is outside of {folder}; set media_dir to a folder above both.")
        if not (folder / item).is_file():
            raise DataError(f"{path} names {item}, which is not in {folder}; put it there or set media_dir.")
    return [folder / item for item in references]


def _is_below(folder: Path, name: str) -> bool:
    """Rows may come from elsewhere; a file of this machine that they name outside of their folder would travel too."""
    return Path(os.path.normpath(folder / name)).is_relative_to(os.path.normpath(folder))


def _rows(path: Path) -> Iterator[Mapping[str, object]]:
    for batch in batches(source(path)):
        for _, text in batch.rows():
            row = json.loads(text)
            if isinstance(row, dict):
                yield row


def _paths(value: object) -> Iterator[str]:
    if isinstance(value, str) and value and "://" not in value:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item)
