"""`python -m bench.data speed|quality`: medians side by side, and what the heuristics find."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.data import quality
from bench.data.rows import write_rows


def speed(arguments: argparse.Namespace) -> None:
    """Each contender in a separate process, by turns, so that a busy machine is busy for all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, arguments.rows)
        print(f"{arguments.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB, medians of {arguments.runs}")
        programs = {"ftsdk": sys.executable, "ftsdk, exact": sys.executable, "python": sys.executable}
        if arguments.datasets_python:
            programs["datasets"] = arguments.datasets_python
        results: dict[str, list[dict]] = {name: [] for name in programs}
        for _ in range(arguments.runs):
            for name, program in programs.items():
                results[name].append(timed(program, name, path))
    print(f"{'':14}{'rows/s':>10}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'faults':>8}")
    for name, runs in results.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(
            f"{name:14}{middle['rows'] / middle['seconds']:>10,.0f}{middle['seconds']:>10.1f}"
            f"{middle['cpu_seconds']:>10.1f}{middle['peak_mb']:>10.0f}{middle['faults']:>8.0f}"
        )


def timed(program: str, name: str, path: Path) -> dict:
    """One run; the contender's own clock leaves out the start of Python."""
    command = [program, "-m", "bench.data.contenders", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.data", description=__doc__)
    commands = parser.add_subparsers(required=True)
    fast = commands.add_parser("speed", help="rows per second and memory beside `datasets` and plain Python")
    fast.add_argument("--rows", type=int, default=1_000_000)
    fast.add_argument("--runs", type=int, default=3)
    fast.add_argument("--datasets-python", help="a Python that has `datasets`, for the comparison")
    fast.set_defaults(run=speed)
    good = commands.add_parser("quality", help="precision and recall of the heuristics on planted data")
    good.set_defaults(run=quality.run)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
