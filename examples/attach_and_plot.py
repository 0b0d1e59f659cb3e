"""Attach to a job that runs, or has run, and draw its loss curve.

python examples/attach_and_plot.py local://quickstart-1a2b3c4d --png loss.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ftsdk import Job
from ftsdk.terminal.charts import save_png, terminal_chart


def main() -> None:
    """Show the job's state, wait for its end if asked to, and draw its metrics in the terminal and as a PNG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", help="a URI, or a name that `ftsdk jobs` shows")
    parser.add_argument("--png", type=Path, help="file to draw to (needs matplotlib: pip install 'ftsdk[plot]')")
    parser.add_argument("--wait", action="store_true", help="wait until the job has ended")
    arguments = parser.parse_args()

    # The URI is all that is needed: the job may have been started by another program.
    job = Job.attach(arguments.job)
    info = job.wait() if arguments.wait else job.info()
    print(f"{job.uri}: {info.state}, attempt {info.attempt}")

    metrics = job.metrics()
    print(terminal_chart(metrics, color=False))
    if arguments.png:
        print("Drawn:", save_png(metrics, arguments.png, title=job.name))


if __name__ == "__main__":
    main()
