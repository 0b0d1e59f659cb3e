"""Printing: data on stdout (a table, or JSON with --json), messages on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import click

from ftsdk.errors import printable

Command = TypeVar("Command", bound=Callable[..., object])


def json_option(command: Command) -> Command:
    """The --json flag, the same everywhere."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(command)


def with_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """A command with these options, which its help shows in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def emit(data: object, as_json: bool, text: Callable[[], str]) -> None:
    """Print data as JSON, or the text."""
    click.echo(json.dumps(data, indent=2, default=str) if as_json else printable(text()))


def say(message: str, *, mark: str = "") -> None:
    """Print a message on stderr, after a mark such as `Warning:` in colour."""
    click.echo(mark + printable(message), err=True)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as text, each column padded to its widest cell, without lines between them."""
    cells = [[*map(str, header)], *([*map(str, row)] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    if sys.stdout.isatty():
        lines[0] = click.style(lines[0], bold=True)
    return "\n".join(lines)


def ago(seconds_since_epoch: float | None) -> str:
    """Time since then, such as `3 min ago`; `-` for None."""
    if seconds_since_epoch is None:
        return "-"
    return f"{duration(max(0.0, time.time() - seconds_since_epoch))} ago"


def duration(seconds: float) -> str:
    """`42 s`, `3 min`, `2.5 h` or `4 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def size(count: int) -> str:
    """Bytes in decimal units."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
