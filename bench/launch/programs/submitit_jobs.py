"""submitit's local executor, which cannot follow a job that runs.

`submitit_jobs.py nothing FOLDER RUNS`, `submitit_jobs.py print FOLDER LINES`.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import submitit  # type: ignore[import-not-found]
from stopwatch import answer, counted, timed

HERE = Path(__file__).parent


def main(verb: str, folder: str, number: str) -> None:
    """Do what the verb says and report to the benchmark."""
    executor = submitit.AutoExecutor(folder=f"{folder}/submitit", cluster="local")
    if verb == "nothing":
        answer([timed(lambda: executor.submit(_run, "nothing.py", number).result()) for _ in range(int(number))])
        return
    jobs: list[submitit.Job[None]] = []

    def finished() -> None:
        jobs.append(executor.submit(_run, "print_lines.py", number))
        jobs[0].result()

    answer([timed(finished)])
    answer(*counted(lambda: jobs[0].stdout().splitlines()))


def _run(program: str, lines: str) -> None:
    os.environ["BENCH_LINES"] = lines
    runpy.run_path(str(HERE / program))


if __name__ == "__main__":
    main(*sys.argv[1:])
