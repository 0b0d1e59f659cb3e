"""The evidence that a trainer leaves, and the outcome that the supervisor derives from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from ftsdk import contract
from ftsdk.runtime.supervisor.outcome.nodes import NodeFailure
from ftsdk.runtime.worker_protocol import FAILED, INTERRUPTED, SUCCEEDED, WorkerRecord

RESUMES, BEGINS_ANEW = "Starting again goes on from there.", "Starting again begins anew."
CRASHES = frozenset({"killed", "crashed", "host_oom", "communication", "hub_unreachable", "hang", "bad_node"})
"""Reasons of failures that may not repeat: a platform may start the attempt again."""


class AttemptOutcome(NamedTuple):
    """How an attempt ended, as the supervisor decided it."""

    state: str
    reason: str = ""
    message: str = ""
    hint: str = ""

    @property
    def exit_code(self) -> int:
        """The supervisor's exit code."""
        if self.state == "SUCCEEDED":
            return contract.EXIT_SUCCEEDED
        if self.state == "INTERRUPTED":
            return contract.EXIT_INTERRUPTED
        return contract.EXIT_CRASHED if self.reason in CRASHES else contract.EXIT_FAILED


class ExitEvidence(NamedTuple):
    """What is known once the trainer's process tree has ended."""

    status: int
    """Wait status of the trainer's first process."""
    records: Sequence[WorkerRecord]
    workers: int
    """How many records a success has; 0 for a user's own file, whose exit code is its record."""
    tail: Sequence[str]
    oom_kills: int
    stopped: str
    """Why the supervisor stopped it: `signal`, `timeout`, `budget`, `node`, `hang`, or empty."""
    hang: str
    """How and where it hung, if that is why it was stopped."""
    node_failure: NodeFailure | None
    """The failure of another node, if that is why it was stopped."""
    cancelled: bool
    saved_step: int | None
    """The newest step in durable storage."""


def finished(evidence: ExitEvidence) -> bool:
    """Whether training reached its end on every worker of this node."""
    if not evidence.workers:
        return os.waitstatus_to_exitcode(evidence.status) == 0
    states = [record["state"] for record in evidence.records]
    return len(states) == evidence.workers and all(state == SUCCEEDED for state in states)


def unfinished(evidence: ExitEvidence) -> AttemptOutcome:
    """The outcome of an attempt that did not reach its end."""
    step = evidence.saved_step
    saved = "Nothing was saved yet" if step is None else f"The state of step {step} is saved"
    restart = BEGINS_ANEW if step is None else RESUMES
    if evidence.cancelled:
        return AttemptOutcome("CANCELLED", "cancelled", f"Cancelled as requested. {saved}.")
    if evidence.node_failure:
        return AttemptOutcome(*evidence.node_failure)
    if evidence.hang:
        hint = f"The log has the stacks of all processes: `ftsdk logs JOB`. {restart}"
        return AttemptOutcome("FAILED", "hang", f"{evidence.hang} {saved}.", hint)
    if evidence.stopped == "timeout":
        hint = f"Raise timeout_hours. {restart}"
        return AttemptOutcome("FAILED", "timeout", f"The job's time limit is over. {saved}.", hint)
    if evidence.stopped == "budget":
        hint = f"Raise budget.max_hours or budget.max_cost_usd and submit again. {restart}"
        return AttemptOutcome("FAILED", "budget", f"The job's budget is used up. {saved}.", hint)
    if evidence.stopped or _saved_on_request(evidence):
        return AttemptOutcome("INTERRUPTED", "preempted", f"Stopped from outside. {saved}.", restart)
    return _failure(evidence)


def survived(pids: Sequence[int]) -> AttemptOutcome:
    """The outcome of an attempt that cannot begin: what is left of a previous one cannot be ended."""
    message = f"Process {pids[0]} of a previous attempt cannot be ended (it waits for a device or a mount)."
    hint = "An attempt never begins beside it: restore the mount or restart the machine, and submit again."
    return AttemptOutcome("FAILED", "hang", message, hint)


def unpublished(problem: OSError) -> AttemptOutcome:
    """The outcome of a training whose model could not be stored."""
    from ftsdk.runtime.supervisor.outcome.failure import FailureEvidence, classify

    diagnosis = classify(FailureEvidence(causes=[f"{type(problem).__name__}: {problem}"]))
    message = f"The model is trained but not published. {diagnosis.message}"
    return AttemptOutcome("FAILED", diagnosis.reason, message, diagnosis.hint)


def _saved_on_request(evidence: ExitEvidence) -> bool:
    states = {record["state"] for record in evidence.records}
    exit_code = os.waitstatus_to_exitcode(evidence.status)
    own_file_saved = not evidence.workers and exit_code == contract.EXIT_INTERRUPTED
    return (INTERRUPTED in states or own_file_saved) and FAILED not in states


def _failure(evidence: ExitEvidence) -> AttemptOutcome:
    """The first cause: a rank that reports a communication error only shows that another rank failed first."""
    from ftsdk.runtime.supervisor.outcome.failure import FailureEvidence, classify

    exit_code = os.waitstatus_to_exitcode(evidence.status)
    without_record = FailureEvidence(
        tail=evidence.tail, signal=max(-exit_code, 0), exit_code=max(exit_code, 0), oom_kills=evidence.oom_kills
    )
    failed = [record for record in evidence.records if record["state"] == FAILED]
    diagnoses = [classify(without_record._replace(causes=record["causes"], trace=record["trace"])) for record in failed]
    if not failed or len(evidence.records) < max(evidence.workers, 1):
        diagnoses.append(classify(without_record))
    causes = [diagnosis for diagnosis in diagnoses if diagnosis.reason != "communication"]
    return AttemptOutcome("FAILED", *(causes or diagnoses)[0])
