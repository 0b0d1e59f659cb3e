"""`ftsdk sweep`, `studies`, and what `status`, `follow`, `cancel` and `compare` print of a study."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ftsdk.cli.output import ago, duration, emit, json_option, say, table, with_options
from ftsdk.cli.run import Command, pairs, spec_options, warn
from ftsdk.errors import UnsupportedError, printable

if TYPE_CHECKING:
    from ftsdk.estimator import Estimator
    from ftsdk.studies.document import CheckSettings
    from ftsdk.studies.study import SeedGroup, Study, StudyStatus
    from ftsdk.studies.sweep import Sweep, SweepPlan

MOST_CURVES = 4
"""Curves that `compare` draws over each other, of the best jobs."""


def search_options(command: Command) -> Command:
    """Options that say how the values of the jobs are chosen."""
    options = [
        click.option("--search", type=click.Choice(["tpe", "random"]), help="Let Optuna choose the jobs."),
        click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Jobs of a search."),
        click.option("--pruner", type=click.Choice(["asha", "hyperband", "median"]),
                     help="Stop jobs of a search that are behind others, with a checkpoint."),
        click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Run each combination with N seeds."),
        click.option("--seed", type=int, help="The same seed draws the same combinations.  [default: 0]"),
    ]  # fmt: skip
    return with_options(command, options)


@click.command()
@spec_options
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=A,B,…",
    help="Values of a field, e.g. learning_rate=1e-5,1e-4 or tuning.rank=8,32. Repeatable.",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=LOW,HIGH[,log]",
    help="A range to draw from with --random; log for a learning rate. Repeatable.",
)
@click.option("--random", type=click.IntRange(min=1), metavar="N", help="Run N combinations drawn at random.")
@search_options
@click.option("--parallel", type=click.IntRange(min=1), metavar="N", help="Jobs that run at once.  [default: 1]")
@click.option("--metric", help="Metric of the trainer that ranks the jobs.  [default: eval_loss]")
@click.option(
    "--goal",
    type=click.Choice(["min", "max"]),
    help="Which value is best.  [default: min for a loss or perplexity, else max]",
)
@click.option("--max-cost-usd", type=float, help="US dollars that all jobs together may cost.")
@click.option("--max-hours", type=float, help="Hours of running of all jobs together.")
@click.option("--name", help="Name of the study.  [default: made from the label and the jobs]")
@click.option("--dry-run", is_flag=True, help="Show all jobs, hours and cost; create nothing.")
@click.option(
    "--follow/--detach", default=True, help="Run until all jobs have ended (the default), or start the first."
)
@click.option("--no-data-check", is_flag=True, help="Submit although the data has errors.")
@click.option("--no-size-check", is_flag=True, help="Submit although an estimate exceeds the memory or a limit.")
@click.option("--copy", is_flag=True, help="Copy a model from another cloud first.")
@json_option
def sweep(
    spec: str, backend: str, changes: tuple[str, ...], options: tuple[str, ...], spot: bool, dry_run: bool,
    follow: bool, no_data_check: bool, no_size_check: bool, copy: bool, as_json: bool, **settings: object,
) -> None:  # fmt: skip
    """Train SPEC once for each combination of values, and rank the jobs.

    The options may also stand in SPEC as a block `sweep:`; what is given here counts more. The same command again goes
    on with the same study. Ctrl-C leaves the jobs running, and `ftsdk follow STUDY` goes on.
    """
    described, estimator = _read(
        spec, backend, (*changes, *(("resources.spot=true",) if spot else ())), options, settings
    )
    made = described.plan(estimator)
    for sentence in made.warnings:
        warn(sentence)
    if dry_run:
        emit(made.to_json(), as_json, lambda: _plan_text(made))
        return
    say(_plan_text(made))
    checks: CheckSettings = {"size_check": not no_size_check, "data_check": not no_data_check, "copy": copy}
    made.check(**checks)
    study = made.create(checks)
    start_study(study, follow=follow, as_json=as_json)


def _read(
    spec: str, backend: str, changes: tuple[str, ...], options: tuple[str, ...], settings: dict[str, object]
) -> tuple[Sweep, Estimator]:
    from ftsdk.estimator import Estimator
    from ftsdk.recipes import specfile
    from ftsdk.studies import reading

    path, folder = specfile.find(spec)
    data = specfile.read_yaml(path)
    described = reading.sweep_of(data.pop("sweep", {}), settings, where=str(path))
    loaded = specfile.from_data(data, where=str(path), folder=folder, changes=changes)
    for note in loaded.notes:
        say(f"Note: {note}")
    return described, Estimator(loaded.spec, backend=backend, options=pairs(options), folder=loaded.folder)


def _plan_text(made: SweepPlan) -> str:
    from ftsdk.studies.space import as_words

    rows = [
        (t.number, as_words(t.changes), hours_text(t.plan.estimate.hours), t.plan.uri.rpartition("/")[2][-8:])
        for t in made.trials
    ]
    hours = span_text(made.hours(), made.hours("hours_low"), made.hours("hours_high"), "h")
    cost = span_text(made.cost_usd(), made.cost_usd("hours_low"), made.cost_usd("hours_high"), "USD")
    jobs = f"{made.count} jobs, {made.sweep.parallel} at once" if made.count > 1 else "1 job"
    if made.search:
        jobs += f", chosen by {made.sweep.search} after the first"
    return f"{table(('JOB', 'VALUES', 'TIME', 'DIGEST'), rows)}\n{made.name}: {jobs}; time {hours}, cost {cost}"


def hours_text(hours: float | None) -> str:
    """A duration in a table, or `unknown`."""
    return "unknown" if hours is None else duration(3600 * hours)


def span_text(middle: float | None, low: float | None, high: float | None, unit: str) -> str:
    """An estimate with its range, or `unknown`."""
    if middle is None or low is None or high is None:
        return "unknown"
    return f"about {middle:.3g} {unit} ({low:.3g} to {high:.3g})"


@click.command()
@json_option
def studies(as_json: bool) -> None:
    """List the studies of this machine, sweeps and pipelines, newest first."""
    from ftsdk.studies.study import list_studies

    statuses = [study.status() for study in list_studies()]
    emit([status.to_json() for status in statuses], as_json, lambda: table(_HEADER, map(_row, statuses)))


_HEADER = ("STUDY", "STATE", "DONE", "METRIC", "BEST", "HOURS", "STARTED")


def _row(status: StudyStatus) -> tuple[object, ...]:
    document, best = status.document, status.best
    done = f"{sum(trial.state.terminal for trial in status.trials)}/{len(status.trials)}"
    value = "-" if best is None else f"{best.value:.4g}"
    started = ago(document["created_at"])
    return document["name"], status.state, done, document["metric"] or "-", value, f"{status.hours:.2g}", started


def show_study(name: str, as_json: bool) -> None:
    """Print every job of a study, the best first."""
    from ftsdk.studies.study import Study

    status = Study(name).status()
    emit(status.to_json(), as_json, lambda: _text(status))


def start_study(study: Study, *, follow: bool, as_json: bool) -> None:
    """Start a study's first jobs; with `follow` all of them, else say what starts the rest."""
    if follow:
        follow_study(study, as_json)
        return
    study.wait(once=True, on_event=say)
    emit({"uri": study.uri}, as_json, lambda: study.uri)
    say(f"Nothing starts the rest by itself; go on with: ftsdk follow {study.uri}")


def follow_study(study: Study, as_json: bool) -> None:
    """Start a study's jobs until all have ended, then print them. Raises JobFailedError as the study does."""
    try:
        _drive(study)
    except KeyboardInterrupt:
        say(f"Stopped watching; jobs that run continue, no further one starts until: ftsdk follow {study.uri}")
        raise
    show_study(study.name, as_json)
    study.raise_for_failure()


def _drive(study: Study) -> None:
    """Wait for the study: below a live table of its jobs on a terminal, else with a line for each change."""
    from rich.text import Text

    from ftsdk.studies import live

    if not sys.stderr.isatty():
        study.wait(on_event=say)
        return
    with live.table(study, sys.stderr) as shown:
        study.wait(on_event=lambda sentence: shown.console.print(Text(printable(sentence)), soft_wrap=True))


def cancel_study(name: str, as_json: bool) -> None:
    """Cancel a study's jobs and start no further one."""
    from ftsdk.studies.study import Study

    study = Study(name)
    study.cancel()
    emit({"uri": study.uri}, as_json, lambda: study.uri)


def compare_study(name: str, as_json: bool) -> None:
    """Print a study's jobs, the mean of the metric for each value, and the curves of the best ones."""
    from ftsdk.reports.comparing import compare
    from ftsdk.studies.study import Study
    from ftsdk.terminal import overlay

    status = Study(name).status()
    if not status.document["metric"]:
        raise UnsupportedError(
            f"{name} is a pipeline, whose steps are not alike: `ftsdk status {name}` shows them, and "
            f"`ftsdk compare JOB JOB` compares two jobs."
        )
    effects = {key: dict(means) for key, means in status.effects()}
    emit({**status.to_json(), "effects": effects}, as_json, lambda: "\n\n".join((_text(status), *_effects(status))))
    if not as_json and len(best := [trial.uri for trial in status.ranked[:MOST_CURVES]]) > 1:
        curves, width = compare(best).curves(), shutil.get_terminal_size().columns
        click.echo("\n" + overlay.terminal_overlay(curves, width=width, color=sys.stdout.isatty()))


def _effects(status: StudyStatus) -> Iterator[str]:
    """A table for each field, the one whose values matter most first."""
    for key, means in status.effects():
        if len(means) > 1:
            rows = [(value, f"{mean:.4g}") for value, mean in means.items()]
            yield table((key.upper(), f"MEAN {status.document['metric']}"), rows)


def _text(status: StudyStatus) -> str:
    return _sweep_text(status) if status.document["metric"] else _pipeline_text(status)


def _pipeline_text(status: StudyStatus) -> str:
    rows = [
        (trial.step, "SKIPPED" if trial.skipped else trial.state, f"{trial.hours:.2g}", trial.uri or "-")
        for trial in status.trials
    ]
    reasons = (f"{trial.step}: {trial.reason}" for trial in status.trials if trial.reason)
    return "\n".join((table(("STEP", "STATE", "HOURS", "RESULT"), rows), *reasons, *_summary(status)))


def _sweep_text(status: StudyStatus) -> str:
    document = status.document
    keys = list(status.trials[0].changes) if status.trials else []
    names = [key.rpartition(".")[2].upper() for key in keys]
    order = {trial.number: place for place, trial in enumerate(status.ranked)}
    rows = [
        (trial.number, *(trial.changes.get(key) for key in keys), trial.state,
         "-" if trial.value is None else f"{trial.value:.4g}", f"{trial.hours:.2g}", trial.uri.rpartition("-")[2])
        for trial in sorted(status.trials, key=lambda trial: order.get(trial.number, len(order)))
    ]  # fmt: skip
    header = ("JOB", *names, "STATE", document["metric"].upper(), "HOURS", "DIGEST")
    groups = [table(("VALUES", f"MEAN {document['metric']}", "SPREAD", "SEEDS"), map(_group_row, status.groups))]
    return "\n".join((table(header, rows), *(groups if document.get("seeds", 1) > 1 else ()), *_summary(status)))


def _group_row(group: SeedGroup) -> tuple[object, ...]:
    from ftsdk.studies.space import as_words

    spread = "-" if group.spread is None else f"{group.spread:.2g}"
    return as_words(group.changes) or "-", f"{group.mean:.4g}", spread, len(group.trials)


def _summary(status: StudyStatus) -> Iterator[str]:
    cost = "" if status.cost_usd is None else f", {status.cost_usd:.2f} USD"
    yield f"study://{status.document['name']}: {status.state}, {status.hours:.2g} h of running{cost}"
    if status.best:
        yield f"best: {status.best.uri}"
    if status.stopped:
        yield f"stopped: {status.stopped}"
    if status.waiting:
        yield f"{len(status.waiting)} jobs wait to be submitted by: ftsdk follow study://{status.document['name']}"
