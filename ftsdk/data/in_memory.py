"""Rows in memory as a file: a list of dictionaries, a pandas DataFrame, a Hugging Face `Dataset`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ftsdk.errors import DataError
from ftsdk.home import home_dir
from ftsdk.spec.dataset import Table


def as_files(dataset: object) -> object:
    """What a spec's `dataset` says, with rows in memory written as JSON Lines to ftsdk's cache.

    A file is named after its content, so that the same rows are the same job. Raises DataError for rows that JSON
    cannot hold.
    """
    if isinstance(dataset, Mapping):
        return {key: as_files(value) if key in ("train", "eval") else value for key, value in dataset.items()}
    if isinstance(dataset, Table) or _is_list_of_rows(dataset):
        return str(_written(dataset))
    return dataset


def _is_list_of_rows(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _written(rows: object) -> Path:
    folder = home_dir() / "cache" / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"part-{os.getpid()}.jsonl"
    try:
        if isinstance(rows, Table):
            rows.to_json(str(part), orient="records", lines=True, date_format="iso")
        elif isinstance(rows, Sequence):
            part.write_text("".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows), "utf-8")
    except (TypeError, ValueError, OverflowError) as problem:
        raise DataError(f"The rows of dataset cannot be written as JSON: {problem}; give text and numbers.") from None
    with part.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    target = folder / digest / "rows.jsonl"
    target.parent.mkdir(exist_ok=True)
    return part.replace(target)
