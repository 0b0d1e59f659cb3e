"""From what happened to how the attempt ended: the supervisor decides, not an exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from ftsdk import contract
from ftsdk.runtime.supervisor.nodes import Trouble
from ftsdk.runtime.worker_protocol import FAILED, INTERRUPTED, SUCCEEDED, WorkerRecord

AGAIN, ANEW = "Starting again goes on from there.", "Starting again begins anew."
CRASHES = frozenset({"killed", "crashed", "host_oom", "communication", "hub_unreachable"})
"""Failures that may not repeat: a platform may start the attempt again."""


class Ending(NamedTuple):
    """The words of an outcome record."""

    state: str
    reason: str = ""
    message: str = ""
    hint: str = ""

    @property
    def exit_code(self) -> int:
        """What the supervisor exits with."""
        if self.state == "SUCCEEDED":
            return contract.EXIT_SUCCEEDED
        if self.state == "INTERRUPTED":
            return contract.EXIT_INTERRUPTED
        return contract.EXIT_CRASHED if self.reason in CRASHES else contract.EXIT_FAILED


class Facts(NamedTuple):
    """What is known once the trainer's whole family is gone."""

    status: int
    """Wait status of the trainer's first process."""
    records: Sequence[WorkerRecord]
    workers: int
    """How many records a success has; 0 for a user's own file, whose exit code is its record."""
    tail: Sequence[str]
    oom_kills: int
    stopped: str
    """Why the supervisor stopped it: `signal`, `timeout`, `budget`, `peer`, or empty."""
    trouble: Trouble | None
    """What another node's trouble is, if that is why it stopped."""
    cancelled: bool
    saved_step: int | None
    """The newest step in durable storage."""


def finished(facts: Facts) -> bool:
    """Whether training reached its end on every worker of this node."""
    if not facts.workers:
        return os.waitstatus_to_exitcode(facts.status) == 0
    states = [said["state"] for said in facts.records]
    return len(states) == facts.workers and all(state == SUCCEEDED for state in states)


def unfinished(facts: Facts) -> Ending:
    """How an attempt ended that did not reach its end."""
    exit_code = os.waitstatus_to_exitcode(facts.status)
    asked = any(said["state"] == INTERRUPTED for said in facts.records) or (
        not facts.workers and exit_code == contract.EXIT_INTERRUPTED
    )
    failed = any(said["state"] == FAILED for said in facts.records)
    saved = "Nothing was saved yet" if facts.saved_step is None else f"The state of step {facts.saved_step} is saved"
    again = ANEW if facts.saved_step is None else AGAIN
    if facts.cancelled:
        return Ending("CANCELLED", "cancelled", f"Cancelled as asked. {saved}.")
    if facts.trouble:
        return Ending(*facts.trouble)
    if facts.stopped == "timeout":
        hint = f"Raise timeout_hours. {again}"
        return Ending("FAILED", "timeout", f"The job's time limit is over. {saved}.", hint)
    if facts.stopped == "budget":
        hint = f"Raise budget.max_hours or budget.max_cost_usd and submit again. {again}"
        return Ending("FAILED", "budget", f"The job's budget is used up. {saved}.", hint)
    if facts.stopped or (asked and not failed):
        return Ending("INTERRUPTED", "preempted", f"Stopped from outside. {saved}.", again)
    return _failure(facts, exit_code)


def _failure(facts: Facts, exit_code: int) -> Ending:
    """The first cause: a rank that lost its peers only says that another one failed first."""
    from ftsdk.runtime.supervisor.failure import Evidence, classify

    silent = Evidence(
        tail=facts.tail, signal=max(-exit_code, 0), exit_code=max(exit_code, 0), oom_kills=facts.oom_kills
    )
    told = [
        silent._replace(causes=said["causes"], trace=said["trace"]) for said in facts.records if said["state"] == FAILED
    ]
    everyone_told = len(facts.records) >= max(facts.workers, 1)
    verdicts = [classify(evidence) for evidence in told] + ([] if told and everyone_told else [classify(silent)])
    causes = [verdict for verdict in verdicts if verdict.reason != "communication"]
    return Ending("FAILED", *(causes or verdicts)[0])
