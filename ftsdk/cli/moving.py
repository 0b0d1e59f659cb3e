"""`ftsdk move`: a job goes on elsewhere."""

from __future__ import annotations

import click

from ftsdk.cli.completion import complete_backend
from ftsdk.cli.jobs import attach, job_argument
from ftsdk.cli.output import emit, json_option, say
from ftsdk.cli.run import pairs, plan_text


@click.command()
@job_argument
@click.option("--backend", "-b", required=True, shell_complete=complete_backend, help="Where the job goes on.")
@click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of that backend, e.g. image=my/image:1. Repeatable.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not show the plan and ask for confirmation.")
@json_option
def move(job: str, backend: str, options: tuple[str, ...], yes: bool, as_json: bool) -> None:  # fmt: skip
    """Stop JOB and go on from its newest checkpoint on another backend.

    Shows the plan with its price and asks first. Spec, model and data stay the same, so the digest does, too.
    """
    from ftsdk.estimator import Estimator
    from ftsdk.jobs import moving
    from ftsdk.jobs.starting import read_secrets
    from ftsdk.terminal.progress import byte_bar

    attached = attach(job)
    spec, folder = moving.spec_of(attached)
    estimator = Estimator(spec, backend=backend, options=pairs(options), folder=folder)
    plan = estimator.plan()
    for warning in plan.warnings:
        say(f"Warning: {warning}")
    secrets = read_secrets(plan)
    if not yes:
        say(plan_text(plan))
        click.confirm(f"Stop {attached.uri} and go on as {plan.uri}?", abort=True, err=True)
    moved = moving.move(
        attached, plan, estimator.backend, secrets=secrets, bar=byte_bar,
        on_stop=lambda: say(f"Stopping {attached.uri}; its state is saved first."),
    )  # fmt: skip
    emit({"uri": moved.uri, "from": attached.uri}, as_json, lambda: moved.uri)
