"""Running the measured programs, each with the interpreter of its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from bench.launch.environments import Environment
from bench.launch.timing import Row, Timing

PROGRAMS = Path(__file__).parent / "programs"
ENDS_WITHIN_S = 900


def rows(who: str, environment: Environment, program: str, *arguments: str, folder: Path) -> list[Row]:
    """What a program answered: `PROGRAM VERB FOLDER ARGUMENTS…`, the first argument being the verb.

    Raises RuntimeError with its last words if it failed.
    """
    verb, *rest = arguments
    own = Path(mkdtemp(dir=folder))
    run = subprocess.run(
        [environment.python, PROGRAMS / program, verb, own, *rest],
        env=apart(folder),
        cwd=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_WITHIN_S,
    )
    if run.returncode:
        raise RuntimeError(f"{who}: {run.stderr.strip().splitlines()[-1:]}")
    answers = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"runs"')]
    return [
        Row(who=who, runs=tuple(Timing(*timing) for timing in answer["runs"]), note=answer["note"])
        for answer in answers
    ]


def warm(row: Row) -> Row:
    """Without the first run, which also imports; it is kept as a note."""
    first, *others = row.runs
    return replace(row, runs=tuple(others), note=f"the first in its process {first.wall_s:.2f} s")


def apart(folder: Path) -> Mapping[str, str]:
    """An environment whose home is a folder of the benchmark's, so that no user's settings or files are touched."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {**os.environ, "HOME": str(home), "FTSDK_HOME": str(home / "ftsdk")}
