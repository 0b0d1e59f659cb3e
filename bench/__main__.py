"""`python -m bench [WHAT]`: benchmarks beside the peers, kept in bench/results.

launch  what the launcher costs: start-up, jobs, logs, plans, installation
staging two gigabytes into a bucket: the first submit and the second
resume  the cost of checkpoints and of publishing them, and what an interruption loses, here and elsewhere
chaos   trainings that are interrupted at random moments, compared with the same ones without interruption
skypilot  commands on jobs that SkyPilot runs on the Slurm cluster of tests/setup/slurm.sh
watch   rounds of `ftsdk watch` over many running jobs: time, memory, requests to the service
jobs    `ftsdk jobs` over 10,000 ended jobs
verdicts  what trainings with a known effect on their model are called
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import launch, listing, skypilot, verdicts, watching
from bench.launch import report, staging
from bench.resume import cost, long

INTERRUPTIONS = 200


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whats = ("launch", "staging", "resume", "chaos", "skypilot", "watch", "jobs", "verdicts")
    parser.add_argument("what", nargs="?", choices=whats, default="launch")
    parser.add_argument("--quick", action="store_true", help="ftsdk alone, once, no installs: a check of the benchmark")
    parser.add_argument("--interruptions", type=int, default=INTERRUPTIONS, help="how many; chaos only")
    parser.add_argument("--seed", type=int, default=1, help="of kinds and moments; chaos only")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder of the reports")
    options = parser.parse_args()
    match options.what:
        case "launch":
            launch.run(quick=options.quick, results=options.results)
        case "staging":
            staging.run(quick=options.quick, results=options.results)
        case "resume":
            cost.run(quick=options.quick, results=options.results)
        case "chaos":
            long.run(interruptions=options.interruptions, seed=options.seed, results=options.results)
        case "skypilot":
            skypilot.run(quick=options.quick, results=options.results)
        case "watch":
            watching.run(quick=options.quick, results=options.results)
        case "jobs":
            listing.run(quick=options.quick, results=options.results)
        case "verdicts":
            verdicts.run(quick=options.quick, results=options.results)


if __name__ == "__main__":
    main()
