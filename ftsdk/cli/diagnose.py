"""`ftsdk diagnose`: what happened to a job and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ftsdk.cli.jobs import attach, job_argument
from ftsdk.cli.output import emit, json_option

if TYPE_CHECKING:
    from ftsdk.reports.diagnosis.diagnose import Explanation


@click.command()
@job_argument
@json_option
def diagnose(job: str, as_json: bool) -> None:
    """Say what happened to JOB, why, how sure that is, and what to do: from its outcome, log and metrics."""
    from ftsdk.reports.diagnosis.diagnose import diagnose as findings_of

    attached = attach(job)
    findings = findings_of(attached)
    data = {"uri": attached.uri, "findings": [finding.to_json() for finding in findings]}
    nothing = f"{attached.uri}: {attached.state}; nothing looks wrong."
    emit(data, as_json, lambda: "\n\n".join(map(_text, findings)) or nothing)


def _text(finding: Explanation) -> str:
    lines = [f"{finding.what} ({finding.sure})", f"  seen: {finding.evidence}", f"  do:   {finding.do}"]
    return "\n".join([*lines, f"  run:  {finding.command}"] if finding.command else lines)
