"""Everything that SageMaker can say of a job means one thing."""

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.sagemaker.states import state_of

TERMINAL = {"Completed": "SUCCEEDED", "Failed": "FAILED", "Stopped": "CANCELLED"}
REASONS = {
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different type.":
        "capacity",
    "ResourceLimitExceeded: The account-level service limit 'ml.p5.48xlarge for training job usage' is 0": "quota",
    "ClientError: Data download failed: AccessDenied (403): Access denied": "auth",
    "ClientError: Data download failed: No S3 objects found under S3 URL 's3://b/k'": "bad_data",
    "ClientError: Cannot find image 123.dkr.ecr.us-west-2.amazonaws.com/x:1 in the repository": "bad_config",
    "ClientError: Failed to invoke sagemaker:CreateTrainingJob: CannotPullContainerError": "bad_config",
    "AlgorithmError: , exit code: 137": "host_oom",
    "AlgorithmError: , exit code: 127": "bad_config",
    "AlgorithmError: , exit code: 78": "bad_config",
    "ClientError: Please use an instance type with more memory, or reduce the size. OutOfMemory": "host_oom",
    "ClientError: Artifact upload failed: No space left on device": "disk_full",
    "InternalServerError: We encountered an internal error. Please try again.": "lost",
    "AlgorithmError: oom: The accelerator ran out of memory: x. Lower it., exit code: 1": "oom",
    "AlgorithmError: Traceback: whatever, exit code: 1": "error",
    "": "error",
}  # fmt: skip


def statuses(name):
    botocore = pytest.importorskip("botocore.session")
    return botocore.get_session().get_service_model("sagemaker").shape_for(name).enum


def test_every_status_of_the_service_model_is_known():
    for status in statuses("TrainingJobStatus"):
        for secondary in statuses("SecondaryStatus"):
            found = state_of({"TrainingJobStatus": status, "SecondaryStatus": secondary, "FailureReason": "x"})
            assert found.state.terminal == (status in TERMINAL)
            assert not found.reason or found.reason in contract.REASONS
            if status == "InProgress" and secondary not in ("Stopped", "Completed", "Failed", *LIMITED):
                assert "does not know" not in found.message, secondary


LIMITED = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")


def test_an_unknown_status_is_not_final():
    for native in (
        {},
        {"TrainingJobStatus": "Sleeping"},
        {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Odd"},
    ):
        found = state_of(native)
        assert found.state is JobState.RUNNING
    assert "does not know" in found.message


@pytest.mark.parametrize("said", REASONS)
def test_each_failure_reason_maps_to_a_reason(said):
    found = state_of({"TrainingJobStatus": "Failed", "FailureReason": said})
    assert (found.state, found.reason) == (JobState.FAILED, REASONS[said])
    assert found.message


def test_the_supervisors_message_is_read_from_the_failure_reason():
    said = "AlgorithmError: nan_loss: The loss is no number any more. Lower learning_rate., exit code: 1"
    found = state_of({"TrainingJobStatus": "Failed", "FailureReason": said})
    assert found.message == "The loss is no number any more. Lower learning_rate."
    assert found.exit_code == 1


def outcome(**changed):
    return {"state": "INTERRUPTED", "reason": "preempted", "message": "The state of step 7 is saved.", "hint": "",
            "exit_code": 75, "step": 7, "started_at": 0.0, "ended_at": 1.0, **changed}  # fmt: skip


@pytest.mark.parametrize(
    ("secondary", "recorded", "cancelled", "expected"),
    [
        ("Stopped", None, True, (JobState.CANCELLED, "cancelled")),
        ("Stopped", outcome(), True, (JobState.CANCELLED, "cancelled")),
        ("Stopped", outcome(), False, (JobState.CANCELLED, "stopped")),
        ("MaxRuntimeExceeded", outcome(), False, (JobState.FAILED, "timeout")),
        ("MaxWaitTimeExceeded", None, False, (JobState.FAILED, "timeout")),
        ("Stopped", outcome(state="SUCCEEDED", reason="", exit_code=0), True, (JobState.SUCCEEDED, "")),
        ("Stopped", outcome(state="FAILED", reason="oom", exit_code=1), False, (JobState.FAILED, "oom")),
    ],
)
def test_a_stopped_job_is_what_stopped_it(secondary, recorded, cancelled, expected):
    native = {"TrainingJobStatus": "Stopped", "SecondaryStatus": secondary}
    found = state_of(native, recorded, cancelled=cancelled)
    assert (found.state, found.reason) == expected
    assert found.message


def test_a_job_that_trained_before_does_not_go_back_to_pending():
    native = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting"}
    assert state_of(native).state is JobState.PENDING
    assert state_of({**native, "TrainingStartTime": 1}).state is JobState.RUNNING
