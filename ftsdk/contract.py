"""What the launcher and the container agree on: paths, names, line formats and exit codes (`documents`: their JSON).

This module travels inside the job (see `ftsdk.runtime`), so it imports the standard library only.
Everything here is versioned by `VERSION`: a supervisor refuses a job document of another version.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import Any, Final, NamedTuple

VERSION: Final = 1

# --- environment ---------------------------------------------------------------------------------
ENV_JOB: Final = "FTSDK_JOB"
"""Path of the job document (JSON) that the supervisor starts from."""
ENV_NATIVE_NAME: Final = "FTSDK_NATIVE_NAME"
"""`NAME-aN`: the logical job name and the attempt's number, in the one token that changes between attempts."""
ENV_SECRETS_FILE: Final = "FTSDK_SECRETS_FILE"
"""A 0600 JSON file of secret name -> value, unlinked once it is read."""
ENV_SECRETS: Final = "FTSDK_SECRETS"
"""Names, with commas, of variables in which the platform itself gives the job its secrets."""
ENV_SECRETS_FROM: Final = "FTSDK_SECRETS_FROM"
"""Where the job itself fetches its secrets: JSON `{"aws": [NAME, ...], "prefix": PREFIX}` or, with
`"endpoint"`, `{"kms": …}` (Alibaba Cloud); names only."""
ENV_NUM_NODES: Final = "FTSDK_NUM_NODES"
ENV_NODE_RANK: Final = "FTSDK_NODE_RANK"
ENV_MASTER_ADDR: Final = "FTSDK_MASTER_ADDR"
ENV_MASTER_PORT: Final = "FTSDK_MASTER_PORT"

# --- the durable folder of a job -----------------------------------------------------------------
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


# --- names ---------------------------------------------------------------------------------------
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


# --- log lines -----------------------------------------------------------------------------------
class Stamp(NamedTuple):
    """Where a line stands: lines of one node are ordered by (attempt, sequence)."""

    attempt: int
    node: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.attempt}.{self.node}.{self.sequence}"


STAMP_END: Final = "|"


def parse_stamp(text: str) -> Stamp:
    """Read `attempt.node.sequence`; raises ValueError for anything else."""
    attempt, node, sequence = text.split(".")
    return Stamp(int(attempt), int(node), int(sequence))


def split_line(line: str) -> tuple[Stamp | None, str]:
    """A platform's log line as (stamp, text); the stamp is None for a line the supervisor did not write."""
    head, end, text = line.partition(STAMP_END)
    if end:
        try:
            return parse_stamp(head), text
        except ValueError:
            pass
    return None, line


# --- events: structured lines among the logs -------------------------------------------------------
EVENT_MARK: Final = "ftsdk "


def event_line(kind: str, /, **fields: Any) -> str:
    """One structured line: `ftsdk {"event": KIND, ...}`; NaN and infinity travel as strings."""
    return EVENT_MARK + json.dumps({"event": kind, **fields}, allow_nan=False, default=str)


def parse_event(text: str) -> dict[str, Any] | None:
    """The event in a line's text, or None if the line is ordinary output."""
    if not text.startswith(EVENT_MARK + "{"):
        return None
    try:
        event = json.loads(text[len(EVENT_MARK) :])
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


EVENT_PHASE: Final = "phase"
"""{phase: preparing | training | publishing, ...}"""
EVENT_METRICS: Final = "metrics"
"""{step, total_steps, epoch, time, + any of METRIC_FIELDS}"""
EVENT_CHECKPOINT: Final = "checkpoint"
"""Trainer to supervisor: {step, path}: a checkpoint is complete on local scratch."""
EVENT_COMMIT: Final = "commit"
"""Supervisor: {step, seconds, bytes}: the checkpoint is in durable storage."""
EVENT_OUTCOME: Final = "outcome"
"""Supervisor's last word: the outcome record."""

METRIC_FIELDS: Final = (
    "loss",
    "eval_loss",
    "train_loss",
    "rewards/margins",
    "rewards/accuracies",
    "grad_norm",
    "learning_rate",
    "tokens_per_s",
    "eta_s",
    "gpu_memory_gib",
    "reward",
    "eval_reward",
    "reward_std",
    "kl",
    "entropy",
    "completion_length",
)


def metrics_kind(event: dict[str, Any]) -> str:
    """`train` (the summary at the end), `eval` or `step`: one event of a kind for a step, unless it was repeated."""
    return "train" if "train_loss" in event else "eval" if "eval_loss" in event else "step"


# --- exit codes of the supervisor ------------------------------------------------------------------
EXIT_SUCCEEDED: Final = 0
EXIT_FAILED: Final = 1
"""A failure that would repeat: no platform should retry it."""
EXIT_CRASHED: Final = 70
"""A failure that may not repeat (a killed worker, a lost node)."""
EXIT_INTERRUPTED: Final = 75
"""Stopped before the end with its state saved; starting again goes on (EX_TEMPFAIL)."""
EXIT_CONTRACT: Final = 78
"""The job document is of another contract version (EX_CONFIG)."""

AFTER_SAVE: Final = ("exit", "park")
"""`exit`: leave with EXIT_INTERRUPTED. `park`: wait for the platform's SIGKILL, where it takes any exit for the end."""

# --- why a job ended --------------------------------------------------------------------------------
REASONS: Final = (
    "preempted",
    "cancelled",
    "stopped",
    "oom",
    "host_oom",
    "nan_loss",
    "bad_data",
    "bad_config",
    "disk_full",
    "auth",
    "hub_unreachable",
    "communication",
    "killed",
    "crashed",
    "lost",
    "quota",
    "capacity",
    "timeout",
    "budget",
    "error",
)
REPEATING_REASONS: Final = frozenset({"oom", "nan_loss", "bad_data", "bad_config", "auth", "disk_full"})
"""Starting again without a change would end the same way."""
PREEMPTIONS: Final = frozenset({"preempted"})
INFRA_REASONS: Final = PREEMPTIONS | {"killed", "lost", "communication", "hub_unreachable", "capacity"}
RETRIED: Final = MappingProxyType(
    {
        "preemption": PREEMPTIONS,
        "infra": INFRA_REASONS,
        "any": INFRA_REASONS | {"crashed", "host_oom", "error"},
    }
)
"""`retry.on` -> the reasons after which an attempt is followed by another."""
