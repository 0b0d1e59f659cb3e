"""`ftsdk chaos`: harm a job of this machine on purpose."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ftsdk.cli.jobs import job_argument
from ftsdk.cli.output import emit, json_option, say

if TYPE_CHECKING:
    from ftsdk.testing.faults import Strike

KINDS = ("term", "kill", "kill-worker", "stop-container", "network", "fill-disk", "damage")


@click.command()
@job_argument
@click.option(
    "--kind",
    "-k",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    metavar="KIND",
    help="Kind of harm; given several times, one is chosen each time. term, kill or kill-worker if left out.",
)
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="At a random moment in so many seconds.",
)
@click.option("--times", type=click.IntRange(min=1), default=1, show_default=True, help="How often.")
@click.option(
    "--lasting",
    "lasting_s",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a network stays cut or a disk full.",
)
@click.option("--seed", type=int, help="The same moments and choices again; chance if left out.")
@click.option("--leave", is_flag=True, help="Leave the job as the last harm left it; else it is started again.")
@json_option
def chaos(
    job: str, kinds: tuple[str, ...], within_s: float, times: int, lasting_s: float, seed: int | None,
    leave: bool, as_json: bool,
) -> None:  # fmt: skip
    """Harm a running job of this machine on purpose, at a random moment: a dress rehearsal of a spot reclaim.

    \b
    term            SIGTERM to the supervisor, as a spot reclaim begins
    kill            SIGKILL to the supervisor, as if the machine had gone
    kill-worker     SIGKILL to one trainer process
    stop-container  docker stop of one container (docker)
    network         cut one container off its network for a while (docker)
    fill-disk       fill the disk of the job's folder for a while, if the disk is its own
    damage          SIGKILL, then damage the newest checkpoint in one of many ways

    A job that has ended by it is started again as the same submit would, and goes on from its newest valid checkpoint.
    Works on local and docker jobs; nothing but the job is harmed.
    """
    from random import randrange

    from ftsdk.jobs.job import Job
    from ftsdk.testing.faults import rehearse

    seed = randrange(1 << 31) if seed is None else seed
    attached = Job.attach(job)
    strikes = []
    for strike in rehearse(
        attached, kinds, seed=seed, times=times, within_s=within_s, lasting_s=lasting_s, go_on=not leave
    ):
        strikes.append(strike)
        say(_words(strike))
    data = {"uri": attached.uri, "seed": seed, "strikes": [asdict(strike) for strike in strikes]}
    emit(data, as_json, lambda: attached.uri)
    if len(strikes) < times:
        say(f"The job came to its end after {len(strikes)} of {times}.")


def _words(strike: Strike) -> str:
    reason = f" ({strike.reason})" if strike.reason else ""
    return f"{strike.what}; attempt {strike.attempt} at step {strike.step}: {strike.state}{reason}. {strike.message}"
