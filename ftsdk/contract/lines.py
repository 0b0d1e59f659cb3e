"""Log lines: the stamp in front of each, and the events among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NamedTuple, Required, TypedDict, cast


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


MetricValue = float | str | None
"""A number; NaN and infinity as `nan`, `inf` or `-inf`."""
Metrics = TypedDict(
    "Metrics",
    {
        "loss": MetricValue,
        "eval_loss": MetricValue,
        "train_loss": MetricValue,
        "rewards/margins": MetricValue,
        "rewards/accuracies": MetricValue,
        "grad_norm": MetricValue,
        "learning_rate": MetricValue,
        "tokens_per_s": MetricValue,
        "eta_s": MetricValue,
        "gpu_memory_gib": MetricValue,
        "reward": MetricValue,
        "eval_reward": MetricValue,
        "reward_std": MetricValue,
        "kl": MetricValue,
        "entropy": MetricValue,
        "completion_length": MetricValue,
        "eval_accuracy": MetricValue,
        "eval_rewards/margins": MetricValue,
        "eval_rewards/accuracies": MetricValue,
        "eval_rouge-1": MetricValue,
        "eval_rouge-2": MetricValue,
        "eval_rouge-l": MetricValue,
        "eval_bleu-4": MetricValue,
    },
    total=False,
)
"""Values of METRIC_FIELDS."""


class TrainerMetrics(Metrics, total=False):
    """One report of the trainer."""

    step: int
    total_steps: int
    epoch: float
    time: float
    """Seconds since the epoch."""


class Event(TrainerMetrics, total=False):
    """An event of any kind; a newer release, or a user's own program, may add kinds and fields."""

    event: Required[str]
    """One of `EVENT_…`."""
    phase: str
    path: str
    best: str
    """Name of the best checkpoint's folder; empty without one."""
    seconds: float
    bytes: int
    rank: int
    slowest_step_s: float
    state: str
    reason: str
    message: str
    hint: str


def event_line(kind: str, /, **fields: object) -> str:
    """One structured line: `ftsdk {"event": KIND, ...}`. Callers pass NaN and infinity as strings."""
    return EVENT_MARK + json.dumps({"event": kind, **fields}, allow_nan=False, default=str)


def parse_event(text: str) -> Event | None:
    """The event in a line's text, or None if the line is ordinary output."""
    return parse_event_json(text[len(EVENT_MARK) :]) if text.startswith(EVENT_MARK + "{") else None


def parse_event_json(text: str | bytes) -> Event | None:
    """The event in a JSON text; None if it is none, or lacks what every event of its kind has.

    Metrics that are no numbers are left out. Kinds and fields of newer releases are kept as they are.
    """
    try:
        event = json.loads(text, parse_constant=lambda name: name.lower().removesuffix("inity"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    if not all(_has(event.get(name), kinds) for name, kinds in _REQUIRED.get(event["event"], {}).items()):
        return None
    if event["event"] != EVENT_METRICS:
        return cast(Event, event)
    return cast(Event, {name: value for name, value in event.items() if name == "event" or _is_number(value)})


def _has(value: object, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return value is None or _has(value, (int, float)) or (isinstance(value, str) and value in NOT_FINITE)


EVENT_PHASE: Final = "phase"
"""{phase: preparing | training | publishing, ...}"""
EVENT_METRICS: Final = "metrics"
"""{step, total_steps, epoch, time, + any of METRIC_FIELDS}"""
EVENT_CHECKPOINT: Final = "checkpoint"
"""Trainer to supervisor: {step, path}: a checkpoint is complete on local scratch."""
EVENT_COMMIT: Final = "commit"
"""Supervisor: {step, seconds, bytes, time}: the checkpoint is in durable storage."""
EVENT_HEARTBEAT: Final = "heartbeat"
"""Trainer to supervisor, not logged: {rank, phase, slowest_step_s}: this rank has made progress."""
EVENT_NODE_CHECK: Final = "node_check"
"""Supervisor: {node, + the value of each check of the node before the training}"""
EVENT_OUTCOME: Final = "outcome"
"""Supervisor's last event: the outcome record."""

_NUMBER: Final = (int, float)
_REQUIRED: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    EVENT_PHASE: {"phase": str},
    EVENT_METRICS: {"step": int},
    EVENT_CHECKPOINT: {"step": int},
    EVENT_COMMIT: {"step": int, "seconds": _NUMBER, "bytes": _NUMBER},
    EVENT_HEARTBEAT: {"rank": int, "phase": str, "slowest_step_s": _NUMBER},
    EVENT_OUTCOME: {"state": str},
}
"""What every event of a kind has."""
NOT_FINITE: Final = ("nan", "inf", "-inf")

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
    "eval_accuracy",
    "eval_rewards/margins",
    "eval_rewards/accuracies",
    "eval_rouge-1",
    "eval_rouge-2",
    "eval_rouge-l",
    "eval_bleu-4",
)


def metrics_kind(event: Metrics) -> str:
    """`train` (the summary at the end), `eval` or `step`: each step has one event of a kind, unless it was repeated."""
    return "train" if "train_loss" in event else "eval" if "eval_loss" in event else "step"


_METRICS_MARK: Final = f'{STAMP_END}{EVENT_MARK}{{"event": "{EVENT_METRICS}"'.encode()


def metric_events(block: bytes) -> Iterator[Event]:
    """The metric events among a log's stamped lines. A last line that has no end yet is passed over."""
    at = block.find(_METRICS_MARK)
    while at >= 0 and (end := block.find(b"\n", at)) >= 0:
        if event := parse_event(block[at + 1 : end].decode("utf-8", "replace")):
            yield event
        at = block.find(_METRICS_MARK, end)
