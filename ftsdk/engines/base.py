"""What every engine is given, and what it makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the job's things lie, as seen from inside."""

    durable: str
    scratch: str
    inputs: dict[str, str]
    """Path of an input on this machine -> its path inside; what is missing keeps its path."""

    def inside(self, path: str) -> str:
        """The path inside for a file, or for a file below a mapped folder."""
        for outer, inner in self.inputs.items():
            if path == outer:
                return inner
            if path.startswith((outer + "/", outer + "\\")):
                return inner + path[len(outer) :].replace("\\", "/")
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a trainer is started with."""

    trainer: str
    """A module of `ftsdk.runtime.programs`, or the path of a Python file."""
    config: dict[str, Any]
    dataset_info: dict[str, Any]
    warnings: tuple[str, ...] = ()
