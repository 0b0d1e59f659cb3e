"""Exit codes of the supervisor, and the reasons for which a job ends."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final

EXIT_SUCCEEDED: Final = 0
EXIT_FAILED: Final = 1
"""A failure that would repeat: platforms should not retry it."""
EXIT_CRASHED: Final = 70
"""A failure that may not repeat (a killed worker, a lost node)."""
EXIT_INTERRUPTED: Final = 75
"""Stopped before the end with its state saved; a new start resumes (EX_TEMPFAIL)."""
EXIT_CONTRACT: Final = 78
"""The job document is of another contract version (EX_CONFIG)."""

AFTER_SAVE: Final = ("exit", "park")
"""`exit`: exit with EXIT_INTERRUPTED. `park`: wait for the SIGKILL, on platforms that take any exit for the end."""


class Reason(StrEnum):
    """Why a job ended without a model. `docs/reference/reasons.md` says what to do about each."""

    NONE = ""
    """It runs, or it has succeeded."""
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    OOM = "oom"
    HOST_OOM = "host_oom"
    NAN_LOSS = "nan_loss"
    BAD_DATA = "bad_data"
    BAD_CONFIG = "bad_config"
    MODEL_MISMATCH = "model_mismatch"
    DISK_FULL = "disk_full"
    AUTH = "auth"
    HUB_UNREACHABLE = "hub_unreachable"
    COMMUNICATION = "communication"
    HANG = "hang"
    BAD_NODE = "bad_node"
    KILLED = "killed"
    CRASHED = "crashed"
    LOST = "lost"
    QUOTA = "quota"
    CAPACITY = "capacity"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    ERROR = "error"

    @classmethod
    def parse(cls, text: str) -> Reason:
        """The reason with this name; ERROR for one that a newer release wrote."""
        return cls(text) if text in cls._value2member_map_ else cls.ERROR


REASONS: Final = tuple(reason for reason in Reason if reason)
REPEATING_REASONS: Final = frozenset(
    {"oom", "nan_loss", "bad_data", "bad_config", "model_mismatch", "auth", "disk_full"}
)
"""A new start without a change would end the same way."""
PREEMPTIONS: Final = frozenset({"preempted"})
INFRA_REASONS: Final = PREEMPTIONS | {"killed", "lost", "communication", "hub_unreachable", "capacity"}
RETRIED: Final = MappingProxyType(
    {
        "preemption": PREEMPTIONS,
        "infra": INFRA_REASONS | {"hang", "bad_node"},
        "any": INFRA_REASONS | {"hang", "bad_node", "crashed", "host_oom", "error"},
    }
)
"""`retry.on` -> the reasons after which an attempt is followed by another."""
