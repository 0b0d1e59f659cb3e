"""`ftsdk status`: progress, remaining time and cost, attempts, budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from ftsdk.cli.jobs import attach, job_argument
from ftsdk.cli.output import ago, duration, emit, json_option, table
from ftsdk.contract.lineage import verdict_sentence

if TYPE_CHECKING:
    from ftsdk.jobs.history import AttemptRecord
    from ftsdk.jobs.status import Status

LATEST = ("loss", "eval_loss", "tokens_per_s")


@click.command()
@job_argument
@click.option("--terminal", is_flag=True, help="Open a terminal in its container and print its address (pai).")
@json_option
def status(job: str, terminal: bool, as_json: bool) -> None:
    """Show a job's state, progress, remaining time and cost, attempts and remaining budget; or the jobs of a study."""
    from ftsdk.studies import document

    if document.is_study(job):
        from ftsdk.cli.studies import show_study

        show_study(job, as_json)
        return
    attached = attach(job)
    report = attached.status()
    links = {"console": report.info.console_url, "terminal": attached.terminal() if terminal else None}
    data = {**report.to_json(), **({"terminal": links["terminal"]} if terminal else {})} if as_json else None
    shown = (f"{name}: {address}" for name, address in links.items() if address)
    emit(data, as_json, lambda: "\n".join((*_lines(report), *shown)))


def _lines(report: Status) -> Iterator[str]:
    info = report.info
    reason = f" ({info.reason})" if info.reason else ""
    yield f"{report.job.uri}: {info.state}{reason}, attempt {info.attempt}, started {ago(info.created_at)}"
    if info.message:
        yield info.message
    verdict = verdict_sentence(report.verdict) if report.verdict else ""
    yield from filter(None, (_progress(report), verdict, _money(report), _budget(report)))
    if len(report.attempts) > 1:
        header = ("ATTEMPT", "STATE", "REASON", "STEP", "RAN", "WHY")
        yield table(header, map(_row, report.attempts))


def _progress(report: Status) -> str:
    latest, left = report.latest, report.remaining
    if not latest:
        return ""
    shown = [f"step {latest['step']}/{latest.get('total_steps', '?')}"]
    values: Mapping[str, object] = latest
    shown += [f"{name} {value:.4g}" for name in LATEST if isinstance(value := values.get(name), int | float)]
    if left:
        low, high = duration(3600 * left.hours_low), duration(3600 * left.hours_high)
        span = f" ({low} to {high})" if low != high else ""
        shown.append(f"about {duration(3600 * left.hours)} left{span}")
    elif not report.info.state.terminal and isinstance(eta_s := latest.get("eta_s"), int | float):
        shown.append(f"about {duration(eta_s)} left")
    return ", ".join(shown)


def _money(report: Status) -> str:
    if report.cost_usd is None:
        return ""
    left = report.remaining.cost_usd if report.remaining else None
    finish = "" if left is None else f", about {left:.2f} USD to finish"
    rate = f" at {report.usd_per_hour:.4g} USD/h" if report.usd_per_hour else ""
    return f"cost {report.cost_usd:.2f} USD so far{rate}{finish}"


def _budget(report: Status) -> str:
    left = report.budget_left()
    words = {
        "hours": lambda value: f"{duration(3600 * max(0.0, value))} of running",
        "cost_usd": lambda value: f"{max(0.0, value):.2f} USD",
        "hours_to_finish_by": lambda value: f"{duration(3600 * max(0.0, value))} until finish_by",
    }
    return f"budget left: {', '.join(words[name](value) for name, value in left.items())}" if left else ""


def _row(attempt: AttemptRecord) -> tuple[object, ...]:
    place = "spot" if attempt.spot else ""
    again = f"{attempt.starts} starts" if attempt.starts > 1 else ""
    ran = ", ".join(filter(None, (duration(attempt.seconds), again, place)))
    step = "-" if attempt.step is None else attempt.step
    return attempt.number, attempt.state, attempt.reason or "-", step, ran, attempt.why or "-"
