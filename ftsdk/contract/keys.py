"""Names of attempts, and the keys of a job's durable folder."""

from __future__ import annotations

import re
from typing import Final

JOB_FILE: Final = "job.json"
ATTEMPTS_DIR: Final = "attempts"
LOGS_DIR: Final = "logs"
EVENTS_DIR: Final = "events"
CHECKPOINTS_DIR: Final = "checkpoints"
MODEL_DIR: Final = "model"
EVALUATIONS_DIR: Final = "evaluations"
"""Holds a JSON record for each evaluation of the job's model."""
COMMIT_FILE: Final = "COMMIT"
"""Written last: a checkpoint or a model without it does not exist."""
TAKEN_OVER_FILE: Final = "ftsdk_taken_over"
"""Marks the copy of another training's checkpoint on scratch."""


def claim_key(attempt: int) -> str:
    """Key of an attempt's `Claim`, stored with put-if-absent before the attempt is started."""
    return f"{ATTEMPTS_DIR}/a{attempt}/claim.json"


def cancel_key(attempt: int) -> str:
    """Key that the launcher writes before it stops an attempt, to distinguish a cancel from a preemption."""
    return f"{ATTEMPTS_DIR}/a{attempt}/cancel.json"


def leave_spot_key(attempt: int) -> str:
    """Key that a watcher writes before it stops an attempt that waits for spot capacity: the next one is on demand."""
    return f"{ATTEMPTS_DIR}/a{attempt}/leave-spot.json"


def process_key(attempt: int) -> str:
    """Key under which the local backend stores the supervisor's process id."""
    return f"{ATTEMPTS_DIR}/a{attempt}/process.json"


def supervisor_log_key(attempt: int) -> str:
    """Key of a supervisor's stderr: empty unless the supervisor itself failed."""
    return f"{ATTEMPTS_DIR}/a{attempt}/supervisor.log"


def outcome_key(attempt: int, node: int) -> str:
    """Key of the `Outcome` that a node's supervisor records."""
    return f"{ATTEMPTS_DIR}/a{attempt}/outcome-n{node}.json"


def clock_key(attempt: int, node: int) -> str:
    """Key of the `Clock` of a node's supervisor."""
    return f"{ATTEMPTS_DIR}/a{attempt}/clock-n{node}.json"


def node_check_key(attempt: int, node: int) -> str:
    """Key of a node's `NodeCheck`."""
    return f"{ATTEMPTS_DIR}/a{attempt}/node-n{node}.json"


def stacks_key(attempt: int, node: int, start: int) -> str:
    """Key of the stacks of all processes of a node when its training hung.

    Args:
        attempt: number of the attempt.
        node: rank of the node.
        start: 1-based start of the supervisor or restart of the trainer within the attempt.
    """
    return f"{ATTEMPTS_DIR}/a{attempt}/stacks-n{node}-{start}.txt"


def start_key(attempt: int, node: int) -> str:
    """Key under which a node's supervisor announces the generation of its start to the other nodes."""
    return f"{ATTEMPTS_DIR}/a{attempt}/start-n{node}.json"


def segments_prefix(attempt: int, node: int | None = None) -> str:
    """Prefix of the keys of an attempt's log segments, or of those of one node."""
    return f"{LOGS_DIR}/a{attempt:04d}-n" + ("" if node is None else f"{node:04d}-")


def segment_key(attempt: int, node: int, number: int) -> str:
    """Key of one log segment; keys sort in the order of the lines."""
    return f"{segments_prefix(attempt, node)}{number:06d}.log"


def events_prefix(attempt: int, node: int) -> str:
    """Prefix of the keys of the segments that hold the events of a node's log alone."""
    return f"{EVENTS_DIR}/a{attempt:04d}-n{node:04d}-"


def events_key(attempt: int, node: int, number: int) -> str:
    """Key of one segment of events. Its lines are those of the log, stamps included; it is written before the log."""
    return f"{events_prefix(attempt, node)}{number:06d}.log"


def parse_segment_key(key: str) -> tuple[int, int, int] | None:
    """(attempt, node, number) of a log segment's key; None for any other key."""
    match = re.fullmatch(rf"{LOGS_DIR}/a(\d+)-n(\d+)-(\d+)\.log", key)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def checkpoint_key(step: int) -> str:
    """Folder of the checkpoint of a step; keys sort in the order of steps."""
    return f"{CHECKPOINTS_DIR}/checkpoint-{step:06d}"


def manifest_key(node: int) -> str:
    """Name, inside a checkpoint, of the list of a node's files with sizes and SHA-256."""
    return f"manifest-n{node}.json"


def native_name(job_name: str, attempt: int) -> str:
    """The platform's name of one attempt."""
    return f"{job_name}-a{attempt}"


NATIVE_NAME: Final = re.compile(r"[a-z0-9-]+-[0-9a-f]{8}-a\d+")
"""Matches the native names of ftsdk's jobs, among others in an account."""


def split_native_name(native: str) -> tuple[str, int]:
    """The inverse of `native_name`; raises ValueError for any other string."""
    name, mark, number = native.rpartition("-a")
    if not (mark and name and number.isdecimal()):
        raise ValueError(f"{native!r} is not a job's attempt (NAME-aN)")
    return name, int(number)


PROBE_KEY: Final = "probe/answers.json"
"""What a probe has measured."""
PROBE_SIGNAL_KEY: Final = "probe/signal.json"
"""`alive_s`: seconds since SIGTERM, rewritten until the probe is killed; `survived` if it was not killed."""
