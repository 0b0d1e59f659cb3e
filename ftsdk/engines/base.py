"""The engine protocol: a spec, its facts and a layout in, a program's configuration out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ftsdk.contract.foreign import JsonObject

if TYPE_CHECKING:
    from ftsdk.contract.documents import DatasetEntry
    from ftsdk.engines.capabilities import Capability
    from ftsdk.facts import Facts
    from ftsdk.spec import JobSpec

Arguments: TypeAlias = JsonObject
"""A trainer's arguments by its own names; the values are JSON data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths of the job's files, as seen from inside the job."""

    durable: str
    scratch: str
    inputs: dict[str, str]
    """Path of an input on this machine -> its path inside; an input that is missing here keeps its path."""

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
    """A trainer and its configuration."""

    trainer: str
    """A module of `ftsdk.runtime.programs`, or the path of a Python file."""
    config: Arguments
    dataset_info: dict[str, DatasetEntry]
    warnings: tuple[str, ...] = ()
    checked: str = ""
    """What was compared with the model's own chat template; empty if nothing was."""


class Engine(Protocol):
    """A trainer that ftsdk can drive. Any object with these attributes is one; the built-in engines are modules."""

    @property
    def NAME(self) -> str:  # noqa: N802
        """Name in the registry, such as `llamafactory`."""

    @property
    def CAPABILITIES(self) -> tuple[Capability, ...]:  # noqa: N802
        """What it trains, and where that has run."""

    def render(self, spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
        """The trainer and its configuration. Pure: no file, network, clock or environment variable is read.

        Raises SpecError, DataError and UnsupportedError for a job that the trainer would refuse.
        """
