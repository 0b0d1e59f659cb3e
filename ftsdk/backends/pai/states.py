"""What DLC says of a job -> what it means, by tables. Pure.

Statuses: GetJob and ListJobs in the comments of alibabacloud-pai-dlc20201203 1.11.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ftsdk.backends import shared
from ftsdk.backends.base import JobState, Verdict
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
"""Status before the training -> what to say."""
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
"""Status -> state. `…Reserving`: the program has ended, its machines are kept a while."""


class Sign(NamedTuple):
    """A row: `pattern` is searched in code and words of the reason."""

    pattern: str
    reason: str
    message: str


TAKEN_BACK: Final = "The spot machine was taken back. The next attempt goes on from the newest checkpoint."
PREEMPTED: Final = r"(?i)evict|preempt|spot.{0,40}(release|reclaim|interrupt)|reclaimed|instance.{0,20}released"
SIGNS: Final[tuple[Sign, ...]] = (
    Sign(PREEMPTED, "preempted", TAKEN_BACK),
    Sign(r"(?i)(max|exceed).{0,40}running ?time|running ?time.{0,30}exceed|DeadlineExceeded", "timeout",
         "The platform's time limit is over. Raise timeout_hours and submit again."),
    Sign(r"(?i)image.{0,60}(pull|not (found|exist)|unauthorized|denied)|pull.{0,20}image|ErrImagePull|ImagePullBackOff",
         "bad_config", "The image cannot be pulled. Check the options image and image_auth."),
    Sign(r"(?i)mount.{0,60}(fail|error|denied|timeout)|(fail|error).{0,30}mount", "bad_config",
         "An input cannot be mounted. Check that the bucket is in the region and that the job's role may read it."),
    Sign(r"(?i)no ?stock|out ?of ?stock|insufficient|ResourceAllocateFailed|not enough", "capacity",
         "There was no such machine free. Name another type (-o ecs_spec=TYPE) or submit again later."),
    Sign(r"(?i)quota", "quota", "A quota is used up."),
    Sign(r"(?i)forbidden|access ?denied|no ?permission|unauthorized", "auth",
         "The job may not do this; `ftsdk doctor -b pai` prints the policy that it needs."),
    Sign(r"(?i)OOMKilled|out of memory|exit ?code:? 137\b", "host_oom",
         "The machine ran out of memory. Take a larger one (-o ecs_spec=TYPE) or lower batch sizes."),
    Sign(r"(?i)no space left|disk.{0,20}full|ephemeral.?storage", "disk_full",
         "The disk is full. Raise resources.disk_gb."),
    Sign(r"(?i)exit ?code:? 78\b", "bad_config", "The supervisor refused the job document; submit again."),
    Sign(r"(?i)exit ?code:? 12[67]\b", "bad_config", "The image holds no `python` that runs."),
    Sign(r"(?i)internal ?error|node.{0,30}(lost|not ?ready|fail)|hardware|InfrastructureError", "lost",
         "The platform failed. Submitting again goes on from the newest checkpoint."),
)  # fmt: skip
"""ReasonCode and ReasonMessage -> reason and what to do; the first row that fits wins."""


def state_of(native: Mapping[str, Any], outcome: Outcome | None = None, *, cancelled: bool = False) -> Verdict:
    """The state behind an answer. `outcome` is what the supervisor recorded at its end, `cancelled` our note."""
    status = str(native.get("Status") or "")
    if status not in ENDS:
        return _alive(status, native)
    if ENDS[status] is JobState.SUCCEEDED:
        return Verdict(JobState.SUCCEEDED, message=outcome["message"] if outcome else "", exit_code=0)
    if outcome and outcome["state"] != "INTERRUPTED":
        return shared.recorded_verdict(outcome)
    if ENDS[status] is JobState.CANCELLED:
        return _stopped(native, outcome, cancelled=cancelled)
    return _failed(native, outcome, cancelled=cancelled)


def _alive(status: str, native: Mapping[str, Any]) -> Verdict:
    if status in WAITING:
        began = any(step.get("Status") == "Running" for step in native.get("StatusHistory") or ())
        return Verdict(JobState.RUNNING if began else JobState.PENDING, message=WAITING[status])
    if status in AT_WORK:
        return Verdict(JobState.RUNNING, message=AT_WORK[status])
    return Verdict(JobState.RUNNING, message=f"PAI says '{status}', which this ftsdk does not know.")


def _failed(native: Mapping[str, Any], outcome: Outcome | None, *, cancelled: bool) -> Verdict:
    saved, exit_code = _saved(outcome)
    if cancelled:
        return Verdict(JobState.CANCELLED, "cancelled", f"{saved}Cancelled as requested.", exit_code)
    said = _said(native)
    if _is_evicted(native):
        return Verdict(JobState.FAILED, "preempted", saved + TAKEN_BACK, exit_code)
    for sign in SIGNS:
        if re.search(sign.pattern, said):
            return Verdict(JobState.FAILED, sign.reason, f"{saved}{sign.message} PAI: {said}", exit_code)
    if outcome:  # stopped from outside with its state saved, and nobody of us asked for it
        return Verdict(JobState.FAILED, "preempted", saved + TAKEN_BACK, exit_code)
    return Verdict(JobState.FAILED, "error", f"PAI: {said}" if said else "PAI gave no reason.")


def _stopped(native: Mapping[str, Any], outcome: Outcome | None, *, cancelled: bool) -> Verdict:
    saved, exit_code = _saved(outcome)
    if cancelled:
        return Verdict(JobState.CANCELLED, "cancelled", f"{saved}Cancelled as requested.", exit_code)
    limit = next(sign for sign in SIGNS if sign.reason == "timeout")
    if re.search(limit.pattern, _said(native)):
        return Verdict(JobState.FAILED, "timeout", saved + limit.message, exit_code)
    message = f"{saved}Somebody stopped it in PAI. Submitting again goes on from the newest checkpoint."
    return Verdict(JobState.CANCELLED, "stopped", message, exit_code)


def _saved(outcome: Outcome | None) -> tuple[str, int | None]:
    return (f"{outcome['message']} ", outcome["exit_code"]) if outcome else ("", None)


def _said(native: Mapping[str, Any]) -> str:
    words = (str(native.get(key) or "") for key in ("ReasonCode", "ReasonMessage"))
    return ": ".join(filter(None, words))


def _is_evicted(native: Mapping[str, Any]) -> bool:
    return any(pod.get("SubStatus") in ("Evicted", "Preempted") for pod in native.get("Pods") or ())
