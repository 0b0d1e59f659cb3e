"""`ftsdk chaos`: inject faults into a job of this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ftsdk.cli.jobs import job_argument
from ftsdk.cli.output import emit, json_option, say

if TYPE_CHECKING:
    from ftsdk.testing.faults import Fault

KINDS = ("term", "kill", "kill-worker", "stop-worker", "stop-container", "network", "fill-disk", "damage")


@click.command()
@job_argument
@click.option(
    "--kind",
    "-k",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    metavar="KIND",
    help="FaultKind of fault. Repeatable: one is chosen each time. Default: term, kill or kill-worker.",
)
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Inject at a random moment within this time.",
)
@click.option("--times", type=click.IntRange(min=1), default=1, show_default=True, help="Number of faults.")
@click.option(
    "--lasting",
    "lasting_s",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Duration of a network or disk fault.",
)
@click.option("--seed", type=int, help="Seed of the random moments and choices.")
@click.option("--leave", is_flag=True, help="Do not restart the job after the last fault.")
@json_option
def chaos(
    job: str, kinds: tuple[str, ...], within_s: float, times: int, lasting_s: float, seed: int | None,
    leave: bool, as_json: bool,
) -> None:  # fmt: skip
    """Inject faults into a running job of this machine at random moments, as a test of a spot reclaim.

    \b
    term            SIGTERM to the supervisor, as at the start of a spot reclaim
    kill            SIGKILL to the supervisor, as if the machine were lost
    kill-worker     SIGKILL to one trainer process
    stop-worker     SIGSTOP to one trainer process, which hangs until it is found
    stop-container  docker stop of one container (docker)
    network         disconnect one container from its network for a while (docker)
    fill-disk       fill the disk of the job's folder for a while, if no other files are on it
    damage          SIGKILL, then damage the newest checkpoint in one of 17 ways

    A job that ends by a fault is restarted as the same submit would, and continues from its newest valid checkpoint.
    Works on local and docker jobs; nothing but the job is affected.
    """
    from random import randrange

    from ftsdk.jobs.job import Job
    from ftsdk.testing.faults import inject_repeatedly

    seed = randrange(1 << 31) if seed is None else seed
    attached = Job.attach(job)
    faults = []
    for fault in inject_repeatedly(
        attached, kinds, seed=seed, times=times, within_s=within_s, lasting_s=lasting_s, go_on=not leave
    ):
        faults.append(fault)
        say(_line(fault))
    data = {"uri": attached.uri, "seed": seed, "faults": [asdict(fault) for fault in faults]}
    emit(data, as_json, lambda: attached.uri)
    if len(faults) < times:
        say(f"The job ended after {len(faults)} of {times} faults.")


def _line(fault: Fault) -> str:
    reason = f" ({fault.reason})" if fault.reason else ""
    return f"{fault.what}; attempt {fault.attempt} at step {fault.step}: {fault.state}{reason}. {fault.message}"
