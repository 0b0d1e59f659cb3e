"""Checks before the trainer starts that the inputs are those that were planned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ftsdk.contract.documents import InputFile


class BadInputError(Exception):
    """An input is missing or changed; the message names the file."""


def verify(inputs: Iterable[InputFile], is_stopped: Callable[[], bool]) -> None:
    """Compare size and, where it is known, SHA-256 of every input; returns early once `is_stopped()` is true.

    Raises BadInputError.
    """
    for expected in inputs:
        if is_stopped():
            return
        _verify(expected)


def _verify(expected: InputFile) -> None:
    path = Path(expected["path"])
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise BadInputError(
                f"The input {path} has changed since the job was planned: "
                f"it has {size} bytes now and had {expected['bytes']}."
            )
        if expected["sha256"] and _sha256(path) != expected["sha256"]:
            raise BadInputError(f"The input {path} has changed since the job was planned: its content differs.")
    except OSError as problem:
        raise BadInputError(f"The input {path} cannot be read: {problem.strerror}.") from None


def _sha256(path: Path) -> str:
    from ftsdk.runtime.storage.folder import digest

    descriptor = os.open(path, os.O_RDONLY)
    try:
        return digest(descriptor, None).sha256
    finally:
        os.close(descriptor)
