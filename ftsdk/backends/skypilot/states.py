"""Translate SkyPilot's status of a job to a job state, by tables. Pure.

A job that ended by itself leaves an outcome record, which counts more than anything here; these are the ends that no
supervisor could record. Statuses: `sky.jobs.ManagedJobStatus` and `sky.JobStatus` of SkyPilot 0.14.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ftsdk.backends.base import JobState, ObservedState
from ftsdk.backends.skypilot import failures
from ftsdk.backends.skypilot.shapes import QueueRecord

MANAGED_STATUSES: Final[Mapping[str, tuple[JobState, str, str]]] = MappingProxyType(
    {
        "PENDING": (JobState.PENDING, "", "SkyPilot's jobs controller has not begun with it."),
        "SUBMITTED": (JobState.PENDING, "", "SkyPilot's jobs controller has it."),
        "STARTING": (JobState.PENDING, "", "SkyPilot is getting machines."),
        "RUNNING": (JobState.RUNNING, "", ""),
        "WINDING_DOWN": (JobState.RUNNING, "", "It is coming to its end."),
        "RECOVERING": (JobState.RUNNING, "", "The machines are gone; SkyPilot is getting others."),
        "CANCELLING": (JobState.RUNNING, "", "SkyPilot is cancelling it."),
        "SUCCEEDED": (JobState.FAILED, "lost", "The job ended without recording an outcome."),
        "CANCELLED": (JobState.CANCELLED, "cancelled", "Cancelled; the job recorded no outcome."),
        "FAILED": (JobState.FAILED, "crashed", "The job's supervisor crashed."),
        "FAILED_SETUP": (JobState.FAILED, "bad_config", "The setup failed on the node."),
        "FAILED_PRECHECKS": (JobState.FAILED, "bad_config", "SkyPilot cannot fulfil the request."),
        "FAILED_NO_RESOURCE": (JobState.FAILED, "capacity", "No infra has the hardware available right now."),
        "FAILED_CONTROLLER": (JobState.FAILED, "lost", "SkyPilot's jobs controller failed; submit again."),
    }
)
CLUSTER_STATUSES: Final[Mapping[str, tuple[JobState, str, str]]] = MappingProxyType(
    {
        "INIT": (JobState.PENDING, "", "The cluster has it."),
        "PENDING": (JobState.PENDING, "", "It waits for free resources on the cluster."),
        "SETTING_UP": (JobState.PENDING, "", "The setup is running."),
        "RUNNING": (JobState.RUNNING, "", ""),
        "FAILED_DRIVER": (JobState.FAILED, "crashed", "The job's driver on the cluster died."),
        "SUCCEEDED": (JobState.FAILED, "lost", "The job ended without recording an outcome."),
        "FAILED": (JobState.FAILED, "crashed", "The job's supervisor crashed."),
        "FAILED_SETUP": (JobState.FAILED, "bad_config", "The setup failed on the node."),
        "CANCELLED": (JobState.CANCELLED, "cancelled", "Cancelled; the job recorded no outcome."),
    }
)


UNEXPLAINED: Final = ("SUCCEEDED", "FAILED", "FAILED_SETUP", "FAILED_DRIVER")
"""Ends whose cause, when the job left no record, stands in SkyPilot's log of it only."""


class QueueRow(NamedTuple):
    """A job in one of SkyPilot's queues."""

    status: str
    job_id: int | None = None
    reason: str = ""
    """SkyPilot's own words on a failure."""
    recoveries: int = 0


def managed(record: QueueRecord) -> QueueRow:
    """Read one record of the jobs controller's queue."""
    return QueueRow(
        status=str(record.get("status") or ""),
        job_id=int(record["job_id"]),
        reason=str(record.get("failure_reason") or ""),
        recoveries=int(record.get("recovery_count") or 0),
    )


def on_cluster(record: QueueRecord) -> QueueRow:
    """Read one record of a cluster's queue."""
    return QueueRow(status=str(record.get("status") or ""), job_id=int(record["job_id"]))


def state_of(
    native: QueueRow, table: Mapping[str, tuple[JobState, str, str]], *, cancelled: bool = False
) -> ObservedState:
    """State of a job. An unknown status is RUNNING with a message, never a final state."""
    if native.status not in table:
        return ObservedState(
            JobState.RUNNING, message=f"SkyPilot reports a status unknown to ftsdk: '{native.status}'."
        )
    state, reason, message = table[native.status]
    if state.terminal and cancelled:
        return ObservedState(JobState.CANCELLED, "cancelled", "Cancelled; the job recorded no outcome.")
    if state is JobState.CANCELLED:
        return ObservedState(JobState.FAILED, "stopped", "It was cancelled from outside (sky cancel, sky jobs cancel).")
    if state is JobState.FAILED and native.reason:
        message = f"{message} SkyPilot says: {failures.words(native.reason)}"
    return ObservedState(state, reason, message)
