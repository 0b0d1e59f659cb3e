"""Exit codes of the supervisor, and the reasons for which a job ends."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

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
