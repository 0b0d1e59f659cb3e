"""Draws docs/live-view.svg: the live view of a job on a terminal of 100 columns, from the job's own lines.

python -m docs.live_view JOB [STEP]    of a job that this machine can reach, as it was after that step
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI

from ftsdk import Job, contract
from ftsdk.jobs.live import background, set_range
from ftsdk.terminal.screen import JobView, Screen

PICTURE = Path(__file__).with_name("live-view.svg")
COLUMNS = 100
SVG_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""rich's own, without fonts from the network."""


def drawn(job: Job, last_step: int) -> str:
    """The view after the report of this step, as SVG."""
    view, now = JobView(background(job)), 0.0
    for line in job.logs():
        event = contract.parse_event(line.text)
        if event is None:
            view.write(line.text)
        elif event.get("step", 0) > last_step:
            break
        else:
            now = event.get("time", now)
            view.take(event, now)
            set_range(view.figures)
    with Path("/dev/null").open("w") as nowhere:
        console = Console(file=nowhere, record=True, width=COLUMNS, height=40, force_terminal=True)
        console.print(Screen([view], clock=lambda: now))
    return console.export_svg(
        title=f"ftsdk follow {job.name}", theme=MONOKAI, code_format=SVG_FORMAT, unique_id="live-view"
    )


def main() -> None:
    """Write the picture."""
    if not sys.argv[1:]:
        sys.exit(__doc__)
    step = int(sys.argv[2]) if sys.argv[2:] else sys.maxsize
    PICTURE.write_text(drawn(Job.attach(sys.argv[1]), step), "utf-8")


if __name__ == "__main__":
    main()
