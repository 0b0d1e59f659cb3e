"""What an engine trains, as data: each row a method with a tuning and a modality, and where that has run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from ftsdk.spec.sharding import SHARDINGS

Modality = Literal["text", "image", "video", "audio"]
MODALITIES: tuple[str, ...] = get_args(Modality)
Resume = Literal["exact", "restarts"]
"""exact: the same loss and weights, bit for bit, as without the interruption; restarts: begins again at step 0."""
Ran = Literal["CPU test", "long CPU test", "GPU measured", "rendered only"]
"""CPU test: trained by `make test`; long CPU test: trained by `make test-all`; GPU measured: in docs/benchmarks.md;
rendered only: the configuration is made and checked by the trainer's own parser, and no test of ours trains it."""
RAN: tuple[str, ...] = get_args(Ran)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One row of an engine's table."""

    method: str
    """A value of `method.stage`."""
    tuning: str
    """A value of `tuning.type`."""
    modality: Modality
    """What rows hold; every model that takes images, video or audio takes text too."""
    engine: str
    """Name in the registry."""
    resume: Resume
    """What a training promises that goes on after an interruption."""
    ran: Ran
    """Where this row has run."""
    sharding: tuple[str, ...]
    """Values of `sharding.type`. Only `ddp` is trained by tests, the others are rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTable:
    """The rows of one engine, written as their differences."""

    engine: str
    methods: tuple[str, ...]
    tunings: tuple[str, ...]
    modalities: tuple[Modality, ...] = ("text",)
    resume: Resume = "exact"
    tested: frozenset[tuple[str, str]]
    """(method, tuning) that a test of `make test` trains on text."""
    tested_long: frozenset[tuple[str, str]]
    """The same for `make test-all`."""
    sharding: tuple[str, ...] = SHARDINGS

    def rows(self) -> Iterator[Capability]:
        """Every method with every tuning and modality."""
        for modality in self.modalities:
            for method in self.methods:
                for tuning in self.tunings:
                    yield Capability(
                        method=method,
                        tuning=tuning,
                        modality=modality,
                        engine=self.engine,
                        resume=self.resume,
                        ran=self._ran(method, tuning, modality),
                        sharding=self.sharding,
                    )

    def _ran(self, method: str, tuning: str, modality: Modality) -> Ran:
        if modality != "text":
            return "rendered only"
        if (method, tuning) in self.tested:
            return "CPU test"
        return "long CPU test" if (method, tuning) in self.tested_long else "rendered only"


class SharedLine(NamedTuple):
    """Rows that differ in tuning or modality only."""

    method: str
    tunings: str
    modalities: str
    engine: str
    resume: str
    ran: str


def shared_lines(rows: Iterable[Capability]) -> list[SharedLine]:
    """The rows in few lines, by method, those first that ran."""
    by_modality: dict[tuple[str, str, str, str, str], list[str]] = {}
    for row in rows:
        by_modality.setdefault((row.method, row.modality, row.engine, row.resume, row.ran), []).append(row.tuning)
    lines: dict[tuple[str, str, str, str, str], list[str]] = {}
    for (method, modality, engine, resume, ran), tunings in by_modality.items():
        lines.setdefault((method, ", ".join(tunings), engine, resume, ran), []).append(modality)
    methods = list(dict.fromkeys(line[0] for line in lines))
    ordered = sorted(lines.items(), key=lambda line: (methods.index(line[0][0]), RAN.index(line[0][4])))
    return [SharedLine(key[0], key[1], ", ".join(modalities), *key[2:]) for key, modalities in ordered]


def nearest(method: str, tuning: str, rows: Iterable[Capability]) -> str:
    """What to do about a method that no row trains with this tuning, as the end of a sentence."""
    known = tuple(rows)
    tunings = dict.fromkeys(row.tuning for row in known if row.method == method)
    methods = dict.fromkeys(row.method for row in known if row.tuning == tuning)
    other = f", or one of the methods {', '.join(methods)}" if methods else ""
    return f"use one of the tunings {', '.join(tunings)}{other}"
