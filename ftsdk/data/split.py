"""Holding rows out for evaluation, without the same prompt on both sides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ftsdk.data.formats.files import DataFile, new_file
from ftsdk.data.formats.opening import OpenFile, open_valid_files
from ftsdk.data.formats.rows import batches, one_line
from ftsdk.data.formats.rules import Rules, parse
from ftsdk.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a split wrote."""

    train: str
    eval: str
    num_train: int
    num_eval: int


def split(
    paths: Iterable[str | Path | DataFile],
    folder: str | Path,
    *,
    fraction: float | None = None,
    num_eval: int | None = None,
    seed: int = 42,
    method: str | None = None,
) -> Split:
    """Write `train.jsonl` and `eval.jsonl` into a folder: a share (0 to 1) or a number of rows is held out.

    Rows with the same prompt go to the same side, so a repeated row cannot leak; the number held out can be smaller
    than requested by the size of the last such group. The choice depends only on the prompts and the seed, not on the
    order of the rows.

    Raises DataError if not exactly one of `fraction` and `num_eval` is given or it leaves one side empty, for rows
    that are not JSON objects, and if an output exists.
    """
    files = open_valid_files(paths, method)
    hashes = [row_hash for file in files for row_hash in _prompt_hashes(file, seed)]
    held_out = _held_out(hashes, fraction, num_eval)
    target = Path(folder)
    counts = [0, 0]
    with new_file(target / "train.jsonl") as train, new_file(target / "eval.jsonl") as evaluation:
        sides = (train, evaluation)
        row_hashes = iter(hashes)
        for file in files:
            for batch in batches(file.source):
                for _, text in batch.rows():
                    side = next(row_hashes) in held_out
                    counts[side] += 1
                    sides[side].write(one_line(text) + b"\n")
    return Split(
        train=str(target / "train.jsonl"), eval=str(target / "eval.jsonl"), num_train=counts[0], num_eval=counts[1]
    )


def _held_out(hashes: list[bytes], fraction: float | None, num_eval: int | None) -> set[bytes]:
    """The prompt hashes of the rows to hold out: the smallest ones, which is a random choice."""
    if (fraction is None) == (num_eval is None):
        raise DataError("Give either a fraction or a number of rows to hold out.")
    if fraction is not None and not 0 < fraction < 1:
        raise DataError(f"fraction must be between 0 and 1 (got {fraction:g}).")
    requested = num_eval if num_eval is not None else round((fraction or 0) * len(hashes))
    if not 0 < requested < len(hashes):
        raise DataError(f"Holding out {requested} of {len(hashes)} rows leaves one side empty; choose another share.")
    ordered = sorted(hashes)
    end = requested
    while end > 0 and ordered[end] == ordered[end - 1]:
        end -= 1
    if not end:
        raise DataError("All rows that could be held out have the same prompt; choose a larger share.")
    return set(ordered[:end])


def _prompt_hashes(file: OpenFile, seed: int) -> list[bytes]:
    """A keyed hash of each row's prompt."""
    key = str(seed).encode()
    hashes = []
    for batch in batches(file.source):
        for row, text in batch.rows():
            value, _ = parse(text.decode())
            if value is None:
                raise DataError(
                    f"{file.name}, {file.source.row_word} {row} is not a JSON object; clean the data first with "
                    "`ftsdk data check --fix`."
                )
            hashes.append(blake2b(_prompt(value, file.rules).encode(), digest_size=8, key=key).digest())
    return hashes


def _prompt(row: Mapping[str, object], rules: Rules) -> str:
    """The prompt of a row as one text; of a chat all messages but the last."""
    columns = rules.columns
    parts = [row.get(columns[role]) for role in ("system", "history", "prompt", "query") if role in columns]
    messages = row.get(columns.get("messages", ""))
    if isinstance(messages, list):
        parts.append(messages if rules.format in ("preference", "prompts") else messages[:-1])
    if not any(parts):
        parts = [row.get(columns[role]) for role in ("chosen", "response") if role in columns] or [dict(row)]
    return json.dumps(parts, ensure_ascii=True, sort_keys=True)
