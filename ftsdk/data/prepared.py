"""Data files in a form that the trainer loads, made once and kept in ftsdk's cache by the file's content."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from ftsdk.contract.release import __version__
from ftsdk.data.convert import convert_for_trainer
from ftsdk.data.formats.files import DataFile, new_file, source
from ftsdk.data.formats.rows import batches, one_line
from ftsdk.data.formats.summary import FileSummary
from ftsdk.errors import DataError
from ftsdk.home import home_dir
from ftsdk.storage.fingerprints import Fingerprint


def prepare(file: DataFile, summary: FileSummary, fingerprint: Fingerprint, *, method: str) -> Path:
    """JSON Lines with the rows of a file that has `convert_first` set.

    Rows are converted where their form is at fault (tool calls, pairs as lists); else they are written as they are.
    Raises DataError for a row that cannot be read.
    """
    shape = {**asdict(file), "path": "", "suffix": Path(file.path).suffixes}
    key = hashlib.sha256(
        json.dumps([__version__, fingerprint.sha256, method, shape], default=dict).encode()
    ).hexdigest()
    target = home_dir() / "cache" / "converted" / key[:32] / f"{Path(file.path).name.partition('.')[0]}.jsonl"
    if not target.is_file():
        part = target.with_name(f"part-{os.getpid()}.jsonl")
        part.unlink(missing_ok=True)
        if summary.detected.convert_first:
            convert_for_trainer(file, part, method=method, move_media=False)
        else:
            _copy(Path(file.path), part)
        part.replace(target)
    return target


def _copy(path: Path, target: Path) -> None:
    """The rows of any kind of file as JSON Lines."""
    file = source(path)
    with new_file(target) as out:
        for batch in batches(file):
            for fault in batch.faults:
                where = f", {file.row_word} {fault.row}," if fault.row else ""
                raise DataError(f"{path}{where} {fault.message}; `ftsdk data check` lists every such row.")
            for _, text in batch.rows():
                out.write(one_line(text) + b"\n")
