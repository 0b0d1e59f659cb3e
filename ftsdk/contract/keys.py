"""Names of attempts, and the keys of a job's durable folder."""

from __future__ import annotations

import re
from typing import Final

JOB_FILE: Final = "job.json"
ATTEMPTS_DIR: Final = "attempts"
LOGS_DIR: Final = "logs"
CHECKPOINTS_DIR: Final = "checkpoints"
MODEL_DIR: Final = "model"
COMMIT_FILE: Final = "COMMIT"
"""Written last: a checkpoint or a model without it does not exist."""


def claim_key(attempt: int) -> str:
    """Key, in the durable folder, that whoever starts this attempt puts if absent."""
    return f"{ATTEMPTS_DIR}/a{attempt}/claim.json"


def cancel_key(attempt: int) -> str:
    """Key that the launcher writes before it asks an attempt to stop: a cancel, not a preemption."""
    return f"{ATTEMPTS_DIR}/a{attempt}/cancel.json"


def leave_spot_key(attempt: int) -> str:
    """Key that a watcher writes before it stops an attempt that waits for spot capacity: the next is on demand."""
    return f"{ATTEMPTS_DIR}/a{attempt}/leave-spot.json"


def process_key(attempt: int) -> str:
    """Key under which the local backend keeps the supervisor's process id."""
    return f"{ATTEMPTS_DIR}/a{attempt}/process.json"


def supervisor_log_key(attempt: int) -> str:
    """Key of what a supervisor wrote to stderr: empty unless the supervisor itself broke."""
    return f"{ATTEMPTS_DIR}/a{attempt}/supervisor.log"


def outcome_key(attempt: int, node: int) -> str:
    """Key of the record in which a node's supervisor says how its attempt ended."""
    return f"{ATTEMPTS_DIR}/a{attempt}/outcome-n{node}.json"


def clock_key(attempt: int, node: int) -> str:
    """Key of the record (`Clock`) of how long, and in how many starts, a node's supervisor has run in this attempt."""
    return f"{ATTEMPTS_DIR}/a{attempt}/clock-n{node}.json"


def start_key(attempt: int, node: int) -> str:
    """Key under which a node's supervisor tells the other nodes which start of this attempt it is."""
    return f"{ATTEMPTS_DIR}/a{attempt}/start-n{node}.json"


def segments_prefix(attempt: int, node: int | None = None) -> str:
    """What the keys of an attempt's log segments begin with, or those of one of its nodes."""
    return f"{LOGS_DIR}/a{attempt:04d}-n" + ("" if node is None else f"{node:04d}-")


def segment_key(attempt: int, node: int, number: int) -> str:
    """Key of one log segment; names sort in the order of the lines."""
    return f"{segments_prefix(attempt, node)}{number:06d}.log"


def segment_place(key: str) -> tuple[int, int, int] | None:
    """(attempt, node, number) of a log segment's key; None for any other key."""
    found = re.fullmatch(rf"{LOGS_DIR}/a(\d+)-n(\d+)-(\d+)\.log", key)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def checkpoint_key(step: int) -> str:
    """Folder of the checkpoint that was taken after this many steps; names sort in the order of steps."""
    return f"{CHECKPOINTS_DIR}/checkpoint-{step:06d}"


def manifest_key(node: int) -> str:
    """Name, inside a checkpoint, of the file in which a node lists what it wrote (sizes and SHA-256)."""
    return f"manifest-n{node}.json"


def native_name(job_name: str, attempt: int) -> str:
    """The platform's name of one attempt."""
    return f"{job_name}-a{attempt}"


NATIVE_NAME: Final = re.compile(r"[a-z0-9-]+-[0-9a-f]{8}-a\d+")
"""What `native_name` makes of our jobs' names, among others in an account."""


def split_native_name(native: str) -> tuple[str, int]:
    """The inverse of `native_name`; raises ValueError for any other string."""
    name, mark, number = native.rpartition("-a")
    if not (mark and name and number.isdecimal()):
        raise ValueError(f"{native!r} is not a job's attempt (NAME-aN)")
    return name, int(number)
