"""What SageMaker says of a training job -> what it means, by tables. Pure.

Statuses: DescribeTrainingJob of the API reference (botocore 1.44.5); FailureReason is prose, its beginnings are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ftsdk import contract
from ftsdk.backends import shared
from ftsdk.backends.base import JobState, Verdict
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
"""SecondaryStatus before training -> what to say."""
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


class Sign(NamedTuple):
    """A row: `pattern` is searched in FailureReason."""

    pattern: str
    reason: str
    message: str


SIGNS: Final[tuple[Sign, ...]] = (
    Sign(r"CapacityError|[Ii]nsufficient.{0,20}capacity|Unable to provision", "capacity",
         "AWS had no such machine free. Name more types (-o instance_type=A,B) or submit again later."),
    Sign(r"ResourceLimitExceeded|service limit", "quota", "A quota of the account is used up."),
    Sign(r"AccessDenied|[Aa]ccess [Dd]enied|not authorized|403 Forbidden", "auth",
         "The job's role may not do this; `ftsdk doctor -b sagemaker` prints the policy that it needs."),
    Sign(r"(pull|find|import|manifest).{0,60}(image|repository)|ECR|CannotPull|image .{0,80}not (exist|found)",
         "bad_config", "The image cannot be pulled. Check the option image; see `ftsdk image push -b sagemaker`."),
    Sign(r"[Nn]o space left|disk.{0,20}(full|space)|ran out of disk", "disk_full",
         "The disk is full. Raise resources.disk_gb."),
    Sign(r"[Oo]ut.?[Oo]f.?[Mm]emory|exit code: 137", "host_oom",
         "The machine ran out of memory. Take a larger one (-o instance_type=…) or lower batch sizes."),
    Sign(r"[Dd]ata download|Failed to download data|No S3 objects found", "bad_data",
         "An input could not be downloaded. Check its address and its region."),
    Sign(r"exit code: 78\b", "bad_config", "The supervisor refused the job document; submit again."),
    Sign(r"exit code: 12[67]\b|executable file not found", "bad_config", "The image holds no `python` that runs."),
    Sign(r"InternalServerError|internal error|^Internal", "lost",
         "The platform failed. Submitting again goes on from the newest checkpoint."),
)  # fmt: skip
"""FailureReason -> reason and what to do; the first row that fits wins. The platform's own words follow."""

OURS: Final = re.compile(r"AlgorithmError: (?P<reason>[a-z_]+): (?P<message>.*?),? exit code: (?P<code>\d+)", re.DOTALL)
"""What the supervisor left in /opt/ml/output/failure, as the platform repeats it."""


def state_of(native: Mapping[str, Any], outcome: Outcome | None = None, *, cancelled: bool = False) -> Verdict:
    """The state behind a description. `outcome` is what the supervisor recorded at its end, `cancelled` our note."""
    status, secondary = native.get("TrainingJobStatus", ""), native.get("SecondaryStatus", "")
    if status not in ENDS:
        return _alive(status, secondary, native)
    if status == "Completed":
        return Verdict(JobState.SUCCEEDED, message=outcome["message"] if outcome else "", exit_code=0)
    if status == "Failed":
        return _failed(native.get("FailureReason", ""), outcome)
    return _stopped(secondary, outcome, cancelled=cancelled)


def _alive(status: str, secondary: str, native: Mapping[str, Any]) -> Verdict:
    if status not in ("InProgress", "Stopping", "Deleting"):
        return Verdict(JobState.RUNNING, message=f"SageMaker says '{status}', which this ftsdk does not know.")
    if secondary in WAITING and status == "InProgress":
        began = native.get("TrainingStartTime") is not None
        return Verdict(JobState.RUNNING if began else JobState.PENDING, message=WAITING[secondary])
    unknown = f"SageMaker says '{secondary}', which this ftsdk does not know." if secondary else ""
    return Verdict(JobState.RUNNING, message=AT_WORK.get(secondary, unknown))


def _failed(said: str, outcome: Outcome | None) -> Verdict:
    if outcome and outcome["state"] not in ("SUCCEEDED", "INTERRUPTED"):
        return shared.recorded_verdict(outcome)
    if found := OURS.search(said):
        reason = found["reason"] if found["reason"] in contract.REASONS else "error"
        return Verdict(JobState.FAILED, reason, found["message"].strip(), int(found["code"]))
    code = re.search(r"exit code: (\d+)", said)
    exit_code = int(code[1]) if code else None
    for sign in SIGNS:
        if re.search(sign.pattern, said):
            return Verdict(JobState.FAILED, sign.reason, f"{sign.message} SageMaker: {said}", exit_code)
    return Verdict(JobState.FAILED, "error", said or "SageMaker gave no reason.", exit_code)


def _stopped(secondary: str, outcome: Outcome | None, *, cancelled: bool) -> Verdict:
    """Somebody stopped it, or a limit did; it may have come to its end all the same."""
    if outcome and outcome["state"] != "INTERRUPTED":
        return shared.recorded_verdict(outcome)
    exit_code = outcome["exit_code"] if outcome else None
    saved = f"{outcome['message']} " if outcome else ""
    if secondary in LIMITS:
        reason, message = LIMITS[secondary]
        return Verdict(JobState.FAILED, reason, saved + message, exit_code)
    if cancelled:
        return Verdict(JobState.CANCELLED, "cancelled", f"{saved}Cancelled as requested.", exit_code)
    message = f"{saved}Somebody stopped it in SageMaker. Submitting again goes on from the newest checkpoint."
    return Verdict(JobState.CANCELLED, "stopped", message, exit_code)
