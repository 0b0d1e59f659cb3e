"""`ftsdk watch`: restarts preempted and lost attempts according to their jobs' retry policies."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_job
from ftsdk.cli.output import json_option, say
from ftsdk.errors import printable

if TYPE_CHECKING:
    from ftsdk.jobs.resident import WatchEvent


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_job)
@click.option("--once", is_flag=True, help="Check every job once and exit, e.g. from cron.")
@click.option(
    "--every-s", type=click.FloatRange(min=0.05), default=15.0, show_default=True, help="Seconds between two checks."
)
@json_option
def watch(jobs: tuple[str, ...], once: bool, every_s: float, as_json: bool) -> None:
    """Restart preempted and lost jobs as each job's `retry` says; prints one line per decision.

    Without JOB it watches all unfinished jobs that this machine has submitted, and later ones, until it is stopped;
    jobs that failed more than a day ago are not restarted. Any number of watchers may run at the same time: each
    attempt is started once. A watcher keeps no state, so it can be stopped at any time.
    """
    from ftsdk.errors import AuthError, JobNotFoundError
    from ftsdk.jobs import resident

    lost: dict[str, int] = {}
    for look in resident.watch(jobs, every_s=every_s, once=once):
        if isinstance(look.problem, JobNotFoundError | AuthError):
            lost[look.uri] = look.problem.exit_code
        _print(look, as_json)
    click.get_current_context().exit([*lost.values()][-1] if lost and len(lost) == len(jobs) else 0)


def _print(look: WatchEvent, as_json: bool) -> None:
    action, why = (look.decision.action, look.decision.why) if look.decision else ("problem", str(look.problem))
    if as_json:
        line = {"time": time.time(), "uri": look.uri, "attempt": look.attempt, "action": action, "why": why}
        click.echo(json.dumps(line))
    elif look.problem:
        say(f"{look.uri}: {why}")
    else:
        click.echo(printable(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {look.uri}: {action.replace('_', ' ')}: {why}"))
