"""`ftsdk compare` and `ftsdk report`: finished or running jobs side by side, or one as a page."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_job
from ftsdk.cli.output import emit, json_option, say, table

if TYPE_CHECKING:
    from ftsdk.reports.comparing import Comparison


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB JOB...", shell_complete=complete_job)
@click.option(
    "--plot", "png", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curves to a PNG file, too."
)
@json_option
def compare(jobs: tuple[str, ...], png: Path | None, as_json: bool) -> None:
    """Show what differs between the specs of two jobs or more, their results, and their curves over each other.

    One study instead shows its jobs, the best first, and what each value does to the metric.
    """
    from ftsdk.reports.comparing import compare as run
    from ftsdk.studies import document
    from ftsdk.terminal import overlay

    if len(jobs) == 1 and document.is_study(jobs[0]):
        from ftsdk.cli.studies import compare_study

        compare_study(jobs[0], as_json)
        return
    comparison = run(jobs)
    if png:
        overlay.save_overlay(comparison.curves(), png)
        say(f"Drawn: {png}")
    emit(comparison.to_json(), as_json, lambda: _text(comparison))


def _text(comparison: Comparison) -> str:
    from ftsdk.terminal import overlay

    header, *rows = comparison.rows()
    parts = [table(header, rows)]
    if any(job.final("loss") is not None for job in comparison.jobs):
        width = shutil.get_terminal_size().columns
        parts.append(overlay.terminal_overlay(comparison.curves(), width=width, color=sys.stdout.isatty()))
    return "\n\n".join(parts)


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="The file; JOB.html if left out.")
@json_option
def report(job: str, output: Path | None, as_json: bool) -> None:
    """Write one HTML file about JOB that opens offline: curves, data, spec, lineage, evaluations, cost."""
    from ftsdk.reports.page import write_report

    path = write_report(job, output or Path(f"{job.rpartition('/')[2]}.html"))
    emit({"path": str(path)}, as_json, lambda: str(path))
