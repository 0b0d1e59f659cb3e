"""Translate a training job's status to a job state, by tables. Pure.

Statuses: DescribeTrainingJob of the API reference (botocore 1.44.5); FailureReason is prose, its beginnings are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import JobState, ObservedState
from ftsdk.backends.sagemaker.shapes import TrainingJobDescription
from ftsdk.backends.shared import FailurePattern
from ftsdk.contract.documents import Outcome

WAITING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Pending": "It waits for machines.",
        "Starting": "",
        "LaunchingMLInstances": "The machines are being started.",
        "PreparingTrainingStack": "The machines are being prepared.",
        "Downloading": "The inputs are being downloaded.",
        "DownloadingTrainingImage": "The image is being downloaded.",
    }
)
"""SecondaryStatus before training -> message."""
AT_WORK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Training": "",
        "Updating": "",
        "Uploading": "The results are being uploaded.",
        "Interrupted": "The spot machine was taken back; SageMaker looks for another.",
        "Restarting": "SageMaker starts it again after an error of its own.",
        "Stopping": "It is being stopped.",
    }
)
ENDS: Final[Mapping[str, JobState]] = MappingProxyType(
    {"Completed": JobState.SUCCEEDED, "Failed": JobState.FAILED, "Stopped": JobState.CANCELLED}
)
"""TrainingJobStatus -> state; `Stopping` and `Deleting` go on to one of these."""
LIMITS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "MaxRuntimeExceeded": ("timeout", "The platform's time limit is over. Raise timeout_hours and submit again."),
        "MaxWaitTimeExceeded": (
            "timeout",
            "It waited for spot machines as long as it may. Raise the option max_wait_hours, name more types, or "
            "leave spot out.",
        ),
    }
)
"""SecondaryStatus of a stopped job -> reason and sentence."""


FAILURE_PATTERNS: Final[tuple[FailurePattern, ...]] = (
    FailurePattern(r"CapacityError|[Ii]nsufficient.{0,20}capacity|Unable to provision", "capacity",
         "AWS had no such machine free. Name more types (-o instance_type=A,B) or submit again later."),
    FailurePattern(r"ResourceLimitExceeded|service limit", "quota", "A quota of the account is used up."),
    FailurePattern(r"AccessDenied|[Aa]ccess [Dd]enied|not authorized|403 Forbidden", "auth",
         "The job's role may not do this; `ftsdk doctor -b sagemaker` prints the policy that it needs."),
    FailurePattern(r"(pull|find|import|manifest).{0,60}(image|repository)|ECR|CannotPull"
         r"|image .{0,80}not (exist|found)",
         "bad_config", "The image cannot be pulled. Check the option image; see `ftsdk image push -b sagemaker`."),
    FailurePattern(r"[Nn]o space left|disk.{0,20}(full|space)|ran out of disk", "disk_full",
         "The disk is full. Raise resources.disk_gb."),
    FailurePattern(r"[Oo]ut.?[Oo]f.?[Mm]emory|exit code: 137", "host_oom",
         "The machine ran out of memory. Take a larger one (-o instance_type=…) or lower batch sizes."),
    FailurePattern(r"[Dd]ata download|Failed to download data|No S3 objects found", "bad_data",
         "An input could not be downloaded. Check its address and its region."),
    FailurePattern(r"exit code: 78\b", "bad_config", "The supervisor refused the job document; submit again."),
    FailurePattern(r"exit code: 12[67]\b|executable file not found", "bad_config",
         "The image holds no `python` that runs."),
    FailurePattern(r"InternalServerError|internal error|^Internal", "lost",
         "The platform failed. Submit again to continue from the newest checkpoint."),
)  # fmt: skip
"""FailureReason -> reason and what to do; the first match wins. The platform's own words follow."""

OURS: Final = re.compile(r"AlgorithmError: (?P<reason>[a-z_]+): (?P<message>.*?),? exit code: (?P<code>\d+)", re.DOTALL)
"""What the supervisor left in /opt/ml/output/failure, as the platform repeats it."""


def state_of(
    native: TrainingJobDescription, outcome: Outcome | None = None, *, cancelled: bool = False
) -> ObservedState:
    """Translate a description. `outcome` is the supervisors' record; `cancelled` is True if ftsdk cancelled the job."""
    status, secondary = native.get("TrainingJobStatus", ""), native.get("SecondaryStatus", "")
    if status not in ENDS:
        return _alive(status, secondary, native)
    if status == "Completed":
        return ObservedState(JobState.SUCCEEDED, message=outcome["message"] if outcome else "", exit_code=0)
    if status == "Failed":
        return _failed(native.get("FailureReason", ""), outcome)
    return _stopped(secondary, outcome, cancelled=cancelled)


def _alive(status: str, secondary: str, native: TrainingJobDescription) -> ObservedState:
    if status not in ("InProgress", "Stopping", "Deleting"):
        return ObservedState(
            JobState.RUNNING, message=f"SageMaker says '{status}', which this version of ftsdk does not know."
        )
    if secondary in WAITING and status == "InProgress":
        began = native.get("TrainingStartTime") is not None
        return ObservedState(JobState.RUNNING if began else JobState.PENDING, message=WAITING[secondary])
    unknown = f"SageMaker says '{secondary}', which this version of ftsdk does not know." if secondary else ""
    return ObservedState(JobState.RUNNING, message=AT_WORK.get(secondary, unknown))


def _failed(failure_reason: str, outcome: Outcome | None) -> ObservedState:
    if outcome and outcome["state"] not in ("SUCCEEDED", "INTERRUPTED"):
        return shared.recorded_state(outcome)
    if match := OURS.search(failure_reason):
        reason = match["reason"] if match["reason"] in contract.REASONS else "error"
        return ObservedState(JobState.FAILED, reason, match["message"].strip(), int(match["code"]))
    code = re.search(r"exit code: (\d+)", failure_reason)
    exit_code = int(code[1]) if code else None
    if pattern := shared.first_match(FAILURE_PATTERNS, failure_reason):
        return ObservedState(
            JobState.FAILED, pattern.reason, f"{pattern.message} SageMaker: {failure_reason}", exit_code
        )
    return ObservedState(JobState.FAILED, "error", failure_reason or "SageMaker gave no reason.", exit_code)


def _stopped(secondary: str, outcome: Outcome | None, *, cancelled: bool) -> ObservedState:
    """A job that a user or a limit stopped; it may have finished all the same."""
    if outcome and outcome["state"] != "INTERRUPTED":
        return shared.recorded_state(outcome)
    exit_code = outcome["exit_code"] if outcome else None
    saved = f"{outcome['message']} " if outcome else ""
    if secondary in LIMITS:
        reason, message = LIMITS[secondary]
        return ObservedState(JobState.FAILED, reason, saved + message, exit_code)
    if cancelled:
        return ObservedState(JobState.CANCELLED, "cancelled", f"{saved}Cancelled as requested.", exit_code)
    message = f"{saved}It was stopped outside ftsdk in SageMaker. Submit again to continue from the newest checkpoint."
    return ObservedState(JobState.CANCELLED, "stopped", message, exit_code)
