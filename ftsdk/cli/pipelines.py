"""`ftsdk run`: a pipeline of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_backend, complete_spec
from ftsdk.cli.output import emit, json_option, say, table
from ftsdk.cli.run import pairs, warn
from ftsdk.cli.studies import hours_text, span_text, start_study

if TYPE_CHECKING:
    from ftsdk.studies.document import CheckSettings
    from ftsdk.studies.pipelines.pipeline import PipelinePlan, PlannedStep

LATER = "later"
"""Shown for what depends on a file that is still to be made."""


@click.command()
@click.argument("pipeline", shell_complete=complete_spec)
@click.option("--backend", "-b", shell_complete=complete_backend,
              help="Where steps run that name no backend.  [default: the pipeline's, else local]")  # fmt: skip
@click.option("--set", "changes", multiple=True, metavar="STEP.KEY=VALUE",
              help="Change a step, e.g. sft.learning_rate=1e-4; STEP may be `defaults`. Repeatable.")  # fmt: skip
@click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE",
              help="An option of the backend. Repeatable.")  # fmt: skip
@click.option("--parallel", type=click.IntRange(min=1), metavar="N", help="Steps that run at once.  [default: 1]")
@click.option("--max-cost-usd", type=float, help="US dollars that all steps together may cost.")
@click.option("--max-hours", type=float, help="Hours of running of all steps together.")
@click.option("--dry-run", is_flag=True, help="Show all steps, hours and cost; create nothing.")
@click.option("--follow/--detach", default=True, help="Run to the end (the default), or start the first steps.")
@click.option("--no-data-check", is_flag=True, help="Run although the data has errors.")
@click.option("--no-size-check", is_flag=True, help="Run although an estimate exceeds the memory or a limit.")
@click.option("--copy", is_flag=True, help="Copy models between clouds where steps run in different ones.")
@json_option
def run(
    pipeline: str, backend: str | None, changes: tuple[str, ...], options: tuple[str, ...], dry_run: bool,
    follow: bool, no_data_check: bool, no_size_check: bool, copy: bool, as_json: bool, **limits: object,
) -> None:  # fmt: skip
    """Run PIPELINE: a YAML file of steps that take each other's results, or the name of a ready-made one.

    The same command again goes on with the same study; after a change of the file, steps before the change are not run
    again. Ctrl-C leaves jobs running, and `ftsdk follow STUDY` goes on, also beside others.

    Ready-made are vertical-domain (pt, sft, dpo, evaluate), rlhf (sft, rm, ppo) and reasoning (sft, grpo, evaluate);
    `ftsdk init NAME` writes one to a file.
    """
    from ftsdk.studies.pipelines import reading

    loaded = reading.load(pipeline, changes=changes)
    for note in loaded.notes:
        say(f"Note: {note}")
    given = {key: value for key, value in {"backend": backend, **limits}.items() if value is not None}
    described = loaded.pipeline.model_copy(update=given)
    checks: CheckSettings = {"size_check": not no_size_check, "data_check": not no_data_check, "copy": copy}
    made = described.plan(folder=loaded.folder, options=pairs(options), checks=checks)
    for sentence in made.warnings:
        warn(sentence)
    if dry_run:
        emit(made.to_json(), as_json, lambda: "\n".join(_plan_lines(made)))
        return
    say("\n".join(_plan_lines(made)))
    made.check()
    study = made.create()
    start_study(study, follow=follow, as_json=as_json)


def _plan_lines(made: PipelinePlan) -> Iterator[str]:
    yield table(("STEP", "DOES", "NEEDS", "WHERE", "TIME", "DIGEST"), map(_row, made.steps))
    hours = span_text(made.hours(), made.hours("hours_low"), made.hours("hours_high"), "h")
    cost = span_text(made.cost_usd(), made.cost_usd("hours_low"), made.cost_usd("hours_high"), "USD")
    yield f"{made.name}: {len(made.steps)} steps; time {hours}, cost {cost}"
    for planned in made.steps:
        if condition := planned.step.step.condition:
            yield f"{planned.step.name} runs if {condition}"


def _row(planned: PlannedStep) -> tuple[object, ...]:
    step, spec = planned.step, planned.step.spec
    does = "push" if spec is None else spec.method.stage if spec.program.type == "train" else spec.program.type
    needs = ", ".join(step.needs) if len(step.needs) < 3 else f"{len(step.needs)} steps"
    time = "-" if spec is None else hours_text(planned.hours())
    digest = planned.uri[-8:] or LATER
    return step.name, does, needs or "-", planned.backend or "here", time, "-" if spec is None else digest
