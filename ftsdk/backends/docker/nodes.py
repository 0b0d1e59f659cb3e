"""The current state of a job's containers, one per node."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import JobState, ObservedState
from ftsdk.backends.docker import command, states
from ftsdk.backends.docker.states import Container
from ftsdk.backends.folders import FolderJob
from ftsdk.contract.documents import Outcome
from ftsdk.storage import records

START_TIMEOUT_S = 60.0
"""Seconds within which a claimed attempt without a container counts as being started."""
RESTARTED = frozenset({contract.EXIT_CRASHED, contract.EXIT_INTERRUPTED})
"""Ends after which Docker may have started the container again."""


class NodesState(NamedTuple):
    """The state of a job's containers at one query."""

    observed: ObservedState
    silent: dict[int, ObservedState]
    """Nodes whose container has ended without an outcome record."""


def names(job: FolderJob) -> list[str]:
    """Containers of the newest attempt, by node."""
    containers: list[str] = job.plan.for_attempt(job.attempt).request["containers"]
    return containers


def record(job: FolderJob, node: int) -> Outcome | None:
    """The outcome record of a node in the newest attempt."""
    return records.read_json(job.store, contract.outcome_key(job.attempt, node))


def query(program: str, job: FolderJob) -> NodesState:
    """Query Docker once. Nodes with a final outcome record are left out."""
    wanted = dict(enumerate(names(job)))
    outcomes = {node: record(job, node) for node in wanted}
    existing = inspect(program, list(wanted.values()))
    cancelled = shared.is_cancelled(job.store, job.attempt)
    observed_states: list[ObservedState] = []
    silent: dict[int, ObservedState] = {}
    for node, name in wanted.items():
        outcome = outcomes[node]
        if outcome and outcome["exit_code"] not in RESTARTED:
            continue
        native = existing.get(name)
        observed = states.state_of(native, cancelled=cancelled) if native else _absent(job)
        if outcome and observed.state.terminal:
            observed = ObservedState(JobState.FAILED, outcome["reason"], outcome["message"], outcome["exit_code"])
        elif native and observed.state.terminal:
            silent[node] = observed
        observed_states.append(observed)
    return NodesState(states.state_of_all(observed_states), silent)


def inspect(program: str, containers: Sequence[str]) -> dict[str, Container]:
    """The containers that exist, by name."""
    answer = command.ask([program, "container", "inspect", *containers], allow="no such")
    rows = (states.container(data) for data in json.loads(answer or "[]"))
    return {native.name: native for native in rows}


def _absent(job: FolderJob) -> ObservedState:
    claimed = records.read_json(job.store, contract.claim_key(job.attempt))
    if (
        claimed
        and time.time() - float(claimed["time"]) < START_TIMEOUT_S
        and not records.has_lines(job.store, job.attempt)
    ):
        return ObservedState(JobState.PENDING, message="The container is being started.")
    return ObservedState(
        JobState.FAILED,
        "lost",
        "The container is gone and left no result: it was removed by hand, or docker talks to another daemon now "
        "(DOCKER_HOST, DOCKER_CONTEXT); submit again to continue from the last checkpoint.",
    )
