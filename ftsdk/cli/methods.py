"""`ftsdk methods`: what can be trained, by which engine, and where that has run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from ftsdk.cli.output import emit, json_option, say, table

if TYPE_CHECKING:
    from ftsdk.engines.capabilities import Capability

FILTERS = ("method", "tuning", "modality", "engine", "ran")
WIDTHS = (8, 23, 6, 12, 8, 13)
"""Characters of each column, so that a line has at most 80."""


@click.command()
@click.option("--method", help="Only this method, e.g. dpo.")
@click.option("--tuning", help="Only this tuning, e.g. qlora.")
@click.option("--modality", help="Only rows of this kind: text, image, video or audio.")
@click.option("--engine", help="Only this trainer, e.g. trl.")
@click.option("--ran", help="Only what ran there: 'CPU test', 'long CPU test', 'GPU measured' or 'rendered only'.")
@json_option
def methods(as_json: bool, **filters: str | None) -> None:
    """List what can be trained: each method with its tunings, the engine that trains it, and where that has run.

    RESUME says what an interrupted training promises: `exact` is the same loss and weights, bit for bit, as without
    the interruption; `restarts` begins again at step 0. RAN is where this very combination was trained: by `make test`
    or `make test-all` on a CPU, on a GPU, or nowhere yet, so that only its configuration is checked.

    \b
    Examples:
      ftsdk methods --method sft
      ftsdk methods --tuning qlora --ran 'CPU test'
      ftsdk methods --modality image --json
    """
    from ftsdk import engines

    known = engines.capabilities()
    for name, value in filters.items():
        _refuse_unknown(name, value, {str(getattr(row, name)) for row in known})
    rows = [row for row in known if all(value in (None, getattr(row, name)) for name, value in filters.items())]
    if not rows:
        say("Nothing matches all of these filters; `ftsdk methods` lists everything.")
    header = ("METHOD", "TUNING", "MODALITY", "ENGINE", "RESUME", "RAN")
    emit([asdict(row) for row in rows], as_json, lambda: table(header, _lines(rows)))


def _refuse_unknown(name: str, value: str | None, known: set[str]) -> None:
    from ftsdk.engines.capabilities import RAN
    from ftsdk.errors import SpecError, did_you_mean

    known |= set(RAN) if name == "ran" else set()
    if value is not None and value not in known:
        hint = did_you_mean(value, known) or f" (one of {', '.join(sorted(known))})"
        raise SpecError(f"--{name} {value!r}: there is none of this name{hint}.")


def _lines(rows: Iterable[Capability]) -> Iterator[tuple[str, ...]]:
    from ftsdk.engines.capabilities import shared_lines

    for line in shared_lines(rows):
        cells = (line.method, line.tunings, line.modalities, line.engine, line.resume, line.ran)
        yield from zip_longest(*(wrap(cell, width) for cell, width in zip(cells, WIDTHS, strict=True)), fillvalue="")
