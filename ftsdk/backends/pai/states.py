"""Translate DLC's status of a job to a job state, by tables. Pure.

Statuses: GetJob and ListJobs in the comments of alibabacloud-pai-dlc20201203 1.11.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ftsdk.backends import shared
from ftsdk.backends.base import JobState, ObservedState
from ftsdk.backends.pai.shapes import DlcJob
from ftsdk.backends.shared import FailurePattern
from ftsdk.contract.documents import Outcome

WAITING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Creating": "It is being created.",
        "Queuing": "It waits for machines, or for its turn in the quota.",
        "Bidding": "It bids for spot machines.",
        "EnvPreparing": "The machines are being prepared: image and mounts.",
        "SanityChecking": "The machines are being checked.",
        "Dequeued": "It leaves the queue.",
    }
)
"""Status before the training -> message."""
AT_WORK: Final[Mapping[str, str]] = MappingProxyType(
    {"Running": "", "Restarting": "PAI starts it again.", "Stopping": "It is being stopped."}
)
ENDS: Final[Mapping[str, JobState]] = MappingProxyType(
    {
        "Succeeded": JobState.SUCCEEDED,
        "SucceededReserving": JobState.SUCCEEDED,
        "Failed": JobState.FAILED,
        "FailedReserving": JobState.FAILED,
        "Stopped": JobState.CANCELLED,
    }
)
"""Status -> state. `…Reserving`: the program has ended and its machines are kept for a while."""


TAKEN_BACK: Final = "The spot machine was taken back. The next attempt continues from the newest checkpoint."
PREEMPTED: Final = r"(?i)evict|preempt|spot.{0,40}(release|reclaim|interrupt)|reclaimed|instance.{0,20}released"
FAILURE_PATTERNS: Final[tuple[FailurePattern, ...]] = (
    FailurePattern(PREEMPTED, "preempted", TAKEN_BACK),
    FailurePattern(r"(?i)(max|exceed).{0,40}running ?time|running ?time.{0,30}exceed|DeadlineExceeded", "timeout",
         "The platform's time limit is over. Raise timeout_hours and submit again."),
    FailurePattern(r"(?i)image.{0,60}(pull|not (found|exist)|unauthorized|denied)|pull.{0,20}image"
         r"|ErrImagePull|ImagePullBackOff",
         "bad_config", "The image cannot be pulled. Check the options image and image_auth."),
    FailurePattern(r"(?i)mount.{0,60}(fail|error|denied|timeout)|(fail|error).{0,30}mount", "bad_config",
         "An input cannot be mounted. Check that the bucket is in the region and that the job's role may read it."),
    FailurePattern(r"(?i)no ?stock|out ?of ?stock|insufficient|ResourceAllocateFailed|not enough", "capacity",
         "There was no such machine free. Name another type (-o ecs_spec=TYPE) or submit again later."),
    FailurePattern(r"(?i)quota", "quota", "A quota is used up."),
    FailurePattern(r"(?i)forbidden|access ?denied|no ?permission|unauthorized", "auth",
         "The job may not do this; `ftsdk doctor -b pai` prints the policy that it needs."),
    FailurePattern(r"(?i)OOMKilled|out of memory|exit ?code:? 137\b", "host_oom",
         "The machine ran out of memory. Take a larger one (-o ecs_spec=TYPE) or lower batch sizes."),
    FailurePattern(r"(?i)no space left|disk.{0,20}full|ephemeral.?storage", "disk_full",
         "The disk is full. Raise resources.disk_gb."),
    FailurePattern(r"(?i)exit ?code:? 78\b", "bad_config", "The supervisor refused the job document; submit again."),
    FailurePattern(r"(?i)exit ?code:? 12[67]\b", "bad_config", "The image holds no `python` that runs."),
    FailurePattern(r"(?i)internal ?error|node.{0,30}(lost|not ?ready|fail)|hardware|InfrastructureError", "lost",
         "The platform failed. Submit again to continue from the newest checkpoint."),
)  # fmt: skip
"""ReasonCode and ReasonMessage -> reason and what to do; the first match wins."""


def state_of(native: DlcJob, outcome: Outcome | None = None, *, cancelled: bool = False) -> ObservedState:
    """Translate a response. `outcome` is the supervisors' record; `cancelled` is True if ftsdk cancelled the job."""
    status = str(native.get("Status") or "")
    if status not in ENDS:
        return _alive(status, native)
    if ENDS[status] is JobState.SUCCEEDED:
        return ObservedState(JobState.SUCCEEDED, message=outcome["message"] if outcome else "", exit_code=0)
    if outcome and outcome["state"] != "INTERRUPTED":
        return shared.recorded_state(outcome)
    if ENDS[status] is JobState.CANCELLED:
        return _stopped(native, outcome, cancelled=cancelled)
    return _failed(native, outcome, cancelled=cancelled)


def _alive(status: str, native: DlcJob) -> ObservedState:
    if status in WAITING:
        began = any(step.get("Status") == "Running" for step in native.get("StatusHistory") or ())
        return ObservedState(JobState.RUNNING if began else JobState.PENDING, message=WAITING[status])
    if status in AT_WORK:
        return ObservedState(JobState.RUNNING, message=AT_WORK[status])
    return ObservedState(JobState.RUNNING, message=f"PAI says '{status}', which this version of ftsdk does not know.")


def _failed(native: DlcJob, outcome: Outcome | None, *, cancelled: bool) -> ObservedState:
    saved, exit_code = _saved(outcome)
    if cancelled:
        return ObservedState(JobState.CANCELLED, "cancelled", f"{saved}Cancelled as requested.", exit_code)
    text = _reason_text(native)
    if _is_evicted(native):
        return ObservedState(JobState.FAILED, "preempted", saved + TAKEN_BACK, exit_code)
    if pattern := shared.first_match(FAILURE_PATTERNS, text):
        return ObservedState(JobState.FAILED, pattern.reason, f"{saved}{pattern.message} PAI: {text}", exit_code)
    if outcome:  # stopped from outside with its state saved, and not cancelled through ftsdk
        return ObservedState(JobState.FAILED, "preempted", saved + TAKEN_BACK, exit_code)
    return ObservedState(JobState.FAILED, "error", f"PAI: {text}" if text else "PAI gave no reason.")


def _stopped(native: DlcJob, outcome: Outcome | None, *, cancelled: bool) -> ObservedState:
    saved, exit_code = _saved(outcome)
    if cancelled:
        return ObservedState(JobState.CANCELLED, "cancelled", f"{saved}Cancelled as requested.", exit_code)
    limit = next(pattern for pattern in FAILURE_PATTERNS if pattern.reason == "timeout")
    if re.search(limit.pattern, _reason_text(native)):
        return ObservedState(JobState.FAILED, "timeout", saved + limit.message, exit_code)
    message = f"{saved}It was stopped outside ftsdk in PAI. Submit again to continue from the newest checkpoint."
    return ObservedState(JobState.CANCELLED, "stopped", message, exit_code)


def _saved(outcome: Outcome | None) -> tuple[str, int | None]:
    return (f"{outcome['message']} ", outcome["exit_code"]) if outcome else ("", None)


def _reason_text(native: DlcJob) -> str:
    words = (native.get("ReasonCode"), native.get("ReasonMessage"))
    return ": ".join(filter(None, words))


def _is_evicted(native: DlcJob) -> bool:
    return any(pod.get("SubStatus") in ("Evicted", "Preempted") for pod in native.get("Pods") or ())
