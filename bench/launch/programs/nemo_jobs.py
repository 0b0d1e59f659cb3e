"""NeMo-Run's local executor. `nemo_jobs.py nothing FOLDER RUNS`."""

from __future__ import annotations

import sys
from pathlib import Path

import nemo_run  # type: ignore[import-not-found]
from stopwatch import answer, timed

PROGRAM = Path(__file__).parent / "nothing.py"


def main(_verb: str, folder: str, runs: str) -> None:
    """Run experiments of one job each and report to the benchmark."""
    answer([timed(lambda: _experiment(folder)) for _ in range(int(runs))])


def _experiment(folder: str) -> None:
    with nemo_run.Experiment("bench", base_dir=f"{folder}/nemo") as experiment:
        experiment.add(nemo_run.Script(str(PROGRAM), entrypoint=sys.executable), executor=nemo_run.LocalExecutor())
        experiment.run(detach=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
