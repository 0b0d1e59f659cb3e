"""submitit's local executor. `submitit_jobs.py VERB FOLDER RUNS`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import submitit  # type: ignore[import-not-found]
from stopwatch import answer, count, timed


def main(verb: str, folder: str, runs: str) -> None:
    """Do what the verb says and tell the benchmark."""
    executor = submitit.AutoExecutor(folder=f"{folder}/submitit", cluster="local")
    if verb == "nothing":
        answer([timed(lambda: executor.submit(nothing).result()) for _ in range(int(runs))])
        return
    jobs: list[submitit.Job[None]] = []

    def finished() -> None:
        jobs.append(executor.submit(print_file, os.environ["BENCH_PRINT"]))
        jobs[0].result()

    answer([timed(finished)])
    notes: list[str] = []
    answer([timed(lambda: notes.append(count(jobs[0].stdout().splitlines(), newline=1)))], notes[0])


def nothing() -> None:
    """A job that does nothing."""


def print_file(path: str) -> None:
    """A job that prints a file."""
    with Path(path).open("rb") as source:
        shutil.copyfileobj(source, sys.stdout.buffer, 1 << 16)


if __name__ == "__main__":
    main(*sys.argv[1:])
