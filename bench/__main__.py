"""`python -m bench [--quick]`: every benchmark, medians side by side with the peers, kept in bench/results."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import launch


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ftsdk alone, once, no installs: a check of the benchmark")
    parser.add_argument("--results", type=Path, default=launch.report.RESULTS, help="folder of the reports")
    options = parser.parse_args()
    launch.run(quick=options.quick, results=options.results)


if __name__ == "__main__":
    main()
