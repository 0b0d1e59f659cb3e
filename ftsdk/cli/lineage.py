"""`ftsdk lineage` and `ftsdk reproduce`: where a model comes from, and making it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_job
from ftsdk.cli.output import emit, json_option, say

if TYPE_CHECKING:
    from ftsdk.contract.lineage import LineageRecord
    from ftsdk.jobs.job import Job

NAMES_OF_TOOLS = ("torch", "transformers", "llamafactory", "trl", "peft")


@click.command()
@click.argument("model", shell_complete=complete_job)
@click.option("--openlineage", is_flag=True, help="Print the job's COMPLETE event in OpenLineage's format instead.")
@json_option
def lineage(model: str, openlineage: bool, as_json: bool) -> None:
    """Show what MODEL was made from and which jobs of this machine used it.

    MODEL is a job (a URI or a name) or a folder that `ftsdk model --download` made.
    """
    from ftsdk.reports import ancestry
    from ftsdk.reports.source import record_of

    record = record_of(model)
    if openlineage:
        emit(ancestry.openlineage_event(record), True, str)
        return
    up, down = ancestry.ancestry(record), ancestry.descendants(record.get("job", ""))
    data = {"record": record, "tree": up.to_json(), "used_by": [node.to_json() for node in down]}
    lines = (*up.lines(), *(line for node in down for line in node.lines()), *_circumstances(record))
    emit(data, as_json, lambda: "\n".join(lines))


def _circumstances(record: LineageRecord) -> list[str]:
    """Code, versions, machine and cost, a line each, as far as they are known."""
    git, machine, versions = record.get("git"), record.get("machine"), record.get("versions", {})
    lines = [f"image: {record['image']}"] if record.get("image") else []
    if git:
        lines.append(f"commit: {git['commit'][:12]}{' with uncommitted changes' if git['dirty'] else ''}")
    if versions:
        shown = (f"{name} {versions[name]}" for name in NAMES_OF_TOOLS if name in versions)
        lines.append(f"versions: {', '.join(shown)}")
    if machine:
        lines.append(f"machine: {', '.join(machine['accelerators']) or machine['processor']}, {machine['platform']}")
    if "hours" in record:
        cost = record.get("cost_usd")
        price = "" if cost is None else f", {cost:.2f} USD"
        lines.append(f"ran: {record['hours']:.3g} h in {len(record['attempts'])} attempts{price}")
    return lines


@click.command()
@click.argument("model", shell_complete=complete_job)
@json_option
def reproduce(model: str, as_json: bool) -> None:
    """Train MODEL again, from the same spec, data and seed, and say what is equal.

    Exit code 0 if every file with weights is the same, bit for bit, else 1.
    """
    from ftsdk.reports.reproducing import reproduce as run
    from ftsdk.reports.source import record_of

    def announce(job: Job) -> None:
        say(f"Training again: {job.uri}")

    done = run(record_of(model), on_warning=say, on_submit=announce)
    emit(done.to_json(), as_json, lambda: f"{done.again}: {done.explanation}")
    click.get_current_context().exit(0 if done.equal else 1)
