"""A job's containers as Docker sees them now, one per node, and what that means for the job."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import JobState, Verdict
from ftsdk.backends.docker import command, states
from ftsdk.backends.docker.states import Container
from ftsdk.backends.folders import FolderJob
from ftsdk.contract.documents import Outcome
from ftsdk.storage import records

START_PATIENCE_S = 60.0
"""A claimed attempt without a container is being started; after this long whoever started it has died."""
RESTARTED = frozenset({contract.EXIT_CRASHED, contract.EXIT_INTERRUPTED})
"""Ends after which Docker may have started the container again."""


class Look(NamedTuple):
    """What one look at a job's containers said."""

    verdict: Verdict
    silent: dict[int, Verdict]
    """Nodes whose container is dead and left no outcome record."""


def names(job: FolderJob) -> list[str]:
    """Containers of the newest attempt, by node."""
    containers: list[str] = job.plan.for_attempt(job.attempt).request["containers"]
    return containers


def record(job: FolderJob, node: int) -> Outcome | None:
    """What a node's supervisor left in the newest attempt."""
    return records.read_json(job.store, contract.outcome_key(job.attempt, node))


def look(program: str, job: FolderJob) -> Look:
    """Ask Docker once. A node whose record is final needs no container any more."""
    wanted = dict(enumerate(names(job)))
    said = {node: record(job, node) for node in wanted}
    there = inspect(program, list(wanted.values()))
    cancelled = shared.is_cancelled(job.store, job.attempt)
    verdicts: list[Verdict] = []
    silent: dict[int, Verdict] = {}
    for node, name in wanted.items():
        left = said[node]
        if left and left["exit_code"] not in RESTARTED:
            continue
        native = there.get(name)
        verdict = states.state_of(native, cancelled=cancelled) if native else _absent(job)
        if left and verdict.state.terminal:
            verdict = Verdict(JobState.FAILED, left["reason"], left["message"], left["exit_code"])
        elif native and verdict.state.terminal:
            silent[node] = verdict
        verdicts.append(verdict)
    return Look(states.state_of_all(verdicts), silent)


def inspect(program: str, containers: Sequence[str]) -> dict[str, Container]:
    """The containers that exist, by name."""
    answer = command.ask([program, "container", "inspect", *containers], allow="no such")
    found = (states.container(data) for data in json.loads(answer or "[]"))
    return {native.name: native for native in found}


def _absent(job: FolderJob) -> Verdict:
    claimed = records.read_json(job.store, contract.claim_key(job.attempt))
    if (
        claimed
        and time.time() - float(claimed["time"]) < START_PATIENCE_S
        and not records.has_lines(job.store, job.attempt)
    ):
        return Verdict(JobState.PENDING, message="The container is being started.")
    return Verdict(
        JobState.FAILED,
        "lost",
        "The container is gone and left no result: it was removed by hand, or docker talks to another daemon now "
        "(DOCKER_HOST, DOCKER_CONTEXT); submit again to go on from the last checkpoint.",
    )
