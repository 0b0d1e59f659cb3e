"""The known causes, as data: `catalogue.yaml`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import yaml

Sureness = Literal["sure", "likely", "possible"]


class Cause(NamedTuple):
    """Something that a log line shows."""

    code: str
    pattern: re.Pattern[str]
    what: str
    sure: Sureness
    do: str
    changes: tuple[str, ...] = ()
    """`KEY=VALUE` for a submit that avoids it."""


@cache
def causes() -> tuple[Cause, ...]:
    """All of them, in the order of the file."""
    text = files("ftsdk.reports.diagnosis").joinpath("catalogue.yaml").read_text("utf-8")
    return tuple(
        Cause(
            code=entry["code"],
            pattern=re.compile(entry["pattern"]),
            what=entry["what"],
            sure=entry["sure"],
            do=entry["do"],
            changes=tuple(entry.get("set", ())),
        )
        for entry in yaml.safe_load(text)
    )


def recognised(line: str) -> list[Cause]:
    """The causes that a line shows."""
    return [cause for cause in causes() if cause.pattern.search(line)]
