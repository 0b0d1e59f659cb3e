"""`ftsdk plan` and `ftsdk submit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import click

from ftsdk.cli.completion import complete_backend, complete_spec
from ftsdk.cli.estimates import estimate_text, speedup_text
from ftsdk.cli.output import emit, json_option, say, size, with_options

if TYPE_CHECKING:
    from ftsdk.estimator import Estimator
    from ftsdk.plan import Plan

OWN_MACHINES = ("local", "docker")
"""Backends whose machines are not rented."""
Command = TypeVar("Command", bound=Callable[..., object])


def spec_options(command: Command) -> Command:
    """SPEC and the options that change it, the same for plan and submit."""
    options = [
        click.argument("spec", shell_complete=complete_spec),
        click.option("--backend", "-b", default="local", show_default=True, shell_complete=complete_backend,
                     help="Where to run; `ftsdk backends` shows all."),
        click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
                     help="Change a value of the spec, e.g. learning_rate=1e-4 or tuning.rank=16. Repeatable."),
        click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE",
                     help="An option of the backend, e.g. image=my/image:1. Repeatable."),
        click.option("--spot", is_flag=True, help="Use interruptible capacity."),
    ]  # fmt: skip
    return with_options(command, options)


@click.command()
@spec_options
@click.option("--compare", is_flag=True, help="Show time and cost on the machines of every backend instead.")
@json_option
def plan(
    spec: str, backend: str, changes: tuple[str, ...], options: tuple[str, ...], spot: bool, compare: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show exactly what `submit` would do with SPEC; creates nothing."""
    estimator = _estimator(spec, backend, changes, options, spot)
    if compare:
        from ftsdk.cli.compare import show

        show(estimator.spec, estimator.inspect(), as_json, chosen=estimator.backend)
        return
    facts = estimator.inspect()
    made = estimator.plan(facts)
    for warning in made.warnings:
        warn(warning)
    faster = estimator.speedups(facts)
    data = {**made.to_json(), "speedups": [asdict(speedup) for speedup in faster]}
    emit(data, as_json, lambda: f"{plan_text(made)}{speedup_text(faster)}")


@click.command()
@spec_options
@click.option("--follow/--detach", default=False, help="Show progress until the end, or return at once (the default).")
@click.option("--again", is_flag=True, help="Start another job although an equal one runs or has succeeded.")
@click.option(
    "--continue",
    "continued",
    is_flag=False,
    flag_value="",
    metavar="[JOB]",
    help="Go on from a finished job's last checkpoint, with more epochs or steps; without JOB it is the newest one "
    "here that differs in these only. Write it after SPEC.",
)
@click.option("--no-data-check", is_flag=True, help="Submit although the data has errors.")
@click.option(
    "--no-size-check",
    is_flag=True,
    help="Submit although the estimate exceeds the accelerator's memory or the budget.",
)
@click.option("--copy", is_flag=True, help="Copy a model from another cloud first; `plan` shows its size and cost.")
@json_option
def submit(
    spec: str, backend: str, changes: tuple[str, ...], options: tuple[str, ...], spot: bool,
    follow: bool, again: bool, continued: str | None, no_data_check: bool, no_size_check: bool, copy: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Start the training that SPEC describes, and print the job's URI.

    The same spec and data attach to the existing job; a failed or cancelled job gets a new attempt.
    """
    estimator = _estimator(spec, backend, changes, options, spot)
    job = estimator.fit(
        wait=False,
        again=again,
        continue_=continued or continued == "",
        size_check=not no_size_check,
        data_check=not no_data_check,
        on_warning=warn,
        copy=copy,
        on_attach=lambda info: say(f"This job exists already ({info.state}); --again starts another one."),
    )
    emit({"uri": job.uri, "name": job.name, "backend": backend}, as_json, lambda: job.uri)
    if follow:
        from ftsdk.cli.follow import follow_job

        say(f"Model: {follow_job(job).uri}")
    elif not as_json:
        say(f"Follow it with: ftsdk follow {job.uri}")
        if estimator.spec.resources.spot and not estimator.backend.capabilities.recovers:
            say(f"To restart it after a preemption, keep this running: ftsdk watch {job.uri}")


def _estimator(spec: str, backend: str, changes: tuple[str, ...], options: tuple[str, ...], spot: bool) -> Estimator:
    from ftsdk.estimator import Estimator
    from ftsdk.recipes import specfile

    extra = ("resources.spot=true",) if spot else ()
    loaded = specfile.load(spec, changes=(*changes, *extra))
    for note in loaded.notes:
        say(f"Note: {note}")
    return Estimator(loaded.spec, backend=backend, options=pairs(options), folder=loaded.folder)


def pairs(options: tuple[str, ...]) -> dict[str, str]:
    """`key=value` arguments as a mapping."""
    from ftsdk.errors import SpecError

    for option in options:
        if "=" not in option:
            raise SpecError(f"-o {option!r}: write key=value.")
    return {key: value for key, _, value in (option.partition("=") for option in options)}


def _yaml(data: object) -> str:
    """YAML in which a text of several lines is a block."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """A dumper with its own representer of texts."""

    def text(dumper: Dumper, value: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110))


def block(title: str, data: object) -> str:
    """Data as YAML below a title."""
    return f"{title}:\n" + "\n".join(f"  {line}" for line in _yaml(data).splitlines())


def plan_text(made: Plan) -> str:
    """The plan as text: the job, then the request and the trainer's configuration as YAML."""
    from ftsdk.storage import copying

    parts = [f"job: {made.uri}", block("request", made.request), block("trainer_config", made.trainer_config)]
    if made.checked:
        parts.append(made.checked)
    if made.uploads:
        parts.append("uploads:\n" + "\n".join(f"  {u.source} -> {u.target} ({size(u.bytes)})" for u in made.uploads))
    if made.copies:
        parts.append("copies, with --copy only:\n" + "\n".join(f"  {copying.described(copy)}" for copy in made.copies))
    if made.secrets:
        parts.append(f"secrets (names only): {', '.join(made.secrets)}")
    parts.append(estimate_text(made.estimate))
    if made.usd_per_hour is not None:
        parts.append(f"price: {made.usd_per_hour:.4g} USD an hour for all machines")
    elif made.backend not in OWN_MACHINES:
        parts.append("price: unknown for these machines there; `ftsdk prices refresh --region …`, or your prices.csv")
    return "\n\n".join(parts)


def warn(sentence: str) -> None:
    """Show a warning of a plan."""
    say(sentence, mark=click.style("Warning:", fg="yellow") + " ")
