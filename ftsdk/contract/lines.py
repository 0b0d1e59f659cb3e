"""Log lines: the stamp in front of each, and the events among them."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple


class Stamp(NamedTuple):
    """The position of a line: lines of one node are ordered by (attempt, sequence)."""

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


EVENT_MARK: Final = "ftsdk "


def event_line(kind: str, /, **fields: Any) -> str:
    """One structured line: `ftsdk {"event": KIND, ...}`. Callers pass NaN and infinity as strings."""
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
"""Supervisor's last event: the outcome record."""

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
    """`train` (the summary at the end), `eval` or `step`: each step has one event of a kind, unless it was repeated."""
    return "train" if "train_loss" in event else "eval" if "eval_loss" in event else "step"
