"""A million lines: how long a job takes to print them, and a client to read them."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.launch import docker
from bench.launch.environments import Environment
from bench.launch.programs import PROGRAMS, rows
from bench.launch.timing import Measure, Row, Timing, in_turn, load, process

WRITERS = (
    ("ftsdk", "ftsdk_jobs.py", ("local", "1")),
    ("torchx", "torchx_jobs.py", ()),
    ("submitit", "submitit_jobs.py", ()),
)
"""Who, program, arguments."""
ABOUT = {
    "Printing": "A job that prints lines of 116 bytes, from the call to its end. ftsdk's supervisor stamps each line "
    "and keeps it in durable storage.",
    "Reading": "All lines of the job that has ended, one by one in Python; the peak is that of the whole process.",
    "Following": "A second job's lines, followed from its start to its end while it prints them.",
}
PRINT, READ, _ = ABOUT
PLAIN = "import sys\nfor line in open(sys.argv[1]): pass"


def processes(environments: dict[str, Environment], folder: Path, runs: int, lines: int) -> list[Measure]:
    """Printing, reading, following, as processes of this machine."""
    found: dict[str, list[Row]] = {kind: [] for kind in ABOUT}
    python = environments["ftsdk"].python
    printed = folder / "lines.txt"
    found[PRINT] += in_turn(runs, {"python print_lines.py > FILE": partial(_to_file, python, printed, lines)})
    found[READ] += in_turn(runs, {"python, the plain file": partial(process, [python, "-c", PLAIN, printed])})
    for _ in range(runs):
        for who, program, arguments in WRITERS:
            if who in environments:
                words = ("print", *arguments, str(lines))
                _collect(found, rows(who, environments[who], program, *words, folder=folder))
    return _measures(found, "process", lines, target="ftsdk ≤ 1 s")


def containers(environments: dict[str, Environment], folder: Path, runs: int, lines: int, image: str) -> list[Measure]:
    """The same in Docker, beside `docker logs` of a plain container that printed the same."""
    found: dict[str, list[Row]] = {kind: [] for kind in ABOUT}
    with docker.printed(image, lines) as (container, took):
        found[PRINT].append(Row(who="docker run", runs=(took,)))
        found[READ] += in_turn(runs, {"docker logs": partial(process, ["docker", "logs", container])})
    for _ in range(runs):
        words = ("print", "docker", "1", str(lines))
        _collect(found, rows("ftsdk", environments["ftsdk"], "ftsdk_jobs.py", *words, folder=folder))
    return _measures(found, "container", lines, target="ftsdk ≤ 1.2 × docker logs")


def _to_file(python: Path, target: Path, lines: int) -> Timing:
    with target.open("wb") as file:
        return process([python, PROGRAMS / "print_lines.py"], {**os.environ, "BENCH_LINES": str(lines)}, stdout=file)


def _collect(found: dict[str, list[Row]], answers: list[Row]) -> None:
    """A program prints its answers in the order of ABOUT; one that cannot follow gives no third."""
    for kind, row in zip(ABOUT, answers, strict=False):
        earlier = next((old for old in found[kind] if old.who == row.who), None)
        if earlier is None:
            found[kind].append(row)
        else:
            found[kind][found[kind].index(earlier)] = replace(row, runs=(*earlier.runs, *row.runs))


def _measures(found: dict[str, list[Row]], where: str, lines: int, *, target: str) -> list[Measure]:
    return [
        Measure(
            title=f"{kind} {lines:,} lines, as a {where}",
            about=ABOUT[kind],
            rows=tuple(rows),
            target=target if kind == READ else "",
            load=load(),
        )
        for kind, rows in found.items()
    ]
