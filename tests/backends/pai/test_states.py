"""Everything that DLC can say of a job means one thing."""

import re
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.pai.states import AT_WORK, ENDS, WAITING, state_of

REASONS = {
    ("JobFailed", "the pod is evicted: the spot instance was released"): "preempted",
    ("JobFailed", "Pod was preempted by a job of higher priority"): "preempted",
    ("JobMaxRunningTimeExceeded", ""): "timeout",
    ("ImagePullFailed", "failed to pull image registry/x:1: unauthorized"): "bad_config",
    ("", "MountVolume failed for volume oss"): "bad_config",
    ("ResourceAllocateFailed", "no resource"): "capacity",
    ("QuotaExceeded", "the quota is used up"): "quota",
    ("Forbidden.RAM", "The user is not authorized"): "auth",
    ("JobFailed", "container OOMKilled"): "host_oom",
    ("JobFailed", "exit code: 137"): "host_oom",
    ("JobFailed", "exit code: 127"): "bad_config",
    ("JobFailed", "exit code: 78"): "bad_config",
    ("JobFailed", "no space left on device"): "disk_full",
    ("InternalError", ""): "lost",
    ("JobFailed", "exit code: 1"): "error",
    ("", ""): "error",
}


def outcome(state, reason="", message="It is saved.", exit_code=75):
    ended = {"started_at": 1.0, "ended_at": 2.0, "step": 7, "hint": ""}
    return {"state": state, "reason": reason, "message": message, "exit_code": exit_code, **ended}


def test_every_status_of_the_client_is_known():
    from alibabacloud_pai_dlc20201203.models import _list_jobs_request

    text = Path(_list_jobs_request.__file__).read_text("utf-8").partition("# The job status.")[2].partition("self.")[0]
    named = set(re.findall(r"# - (\w+)", text))
    assert len(named) >= 13
    assert named <= {*WAITING, *AT_WORK, *ENDS}


@pytest.mark.parametrize("status", [*WAITING, *AT_WORK, *ENDS, "Frobnicating", "", None])
def test_only_known_final_statuses_are_final(status):
    found = state_of({"Status": status})
    assert found.state.terminal == (status in ENDS)
    assert not found.reason or found.reason in contract.REASONS


def test_an_unknown_status_means_running_and_is_in_the_message():
    found = state_of({"Status": "Frobnicating"})
    assert (found.state, "Frobnicating" in found.message) == (JobState.RUNNING, True)


def test_a_job_that_ran_does_not_go_back_to_waiting():
    said = {"Status": "EnvPreparing", "StatusHistory": [{"Status": "Running"}, {"Status": "Restarting"}]}
    assert state_of(said).state is JobState.RUNNING


@pytest.mark.parametrize("said", REASONS, ids=str)
def test_a_failure_has_a_reason(said):
    found = state_of({"Status": "Failed", "ReasonCode": said[0], "ReasonMessage": said[1]})
    assert (found.state, found.reason) == (JobState.FAILED, REASONS[said])
    assert found.message


@pytest.mark.parametrize("sub_status", ["Evicted", "Preempted"])
def test_an_evicted_pod_is_a_preemption(sub_status):
    said = {"Status": "Failed", "ReasonCode": "JobFailed", "Pods": [{"SubStatus": "Normal"}, {"SubStatus": sub_status}]}
    for saved in (None, outcome("INTERRUPTED")):
        assert state_of(said, saved).reason == "preempted"


def test_an_interruption_without_a_cancel_is_a_preemption():
    assert state_of({"Status": "Failed", "ReasonCode": "JobFailed"}, outcome("INTERRUPTED")).reason == "preempted"


def test_the_supervisors_outcome_takes_precedence_over_the_platforms_reason():
    said = {"Status": "Failed", "ReasonCode": "JobFailed", "ReasonMessage": "exit code: 1"}
    found = state_of(said, outcome("FAILED", "nan_loss", "The loss is nan.", 1))
    assert (found.state, found.reason, found.exit_code) == (JobState.FAILED, "nan_loss", 1)
    assert "The loss is nan." in found.message


@pytest.mark.parametrize("saved", [None, outcome("INTERRUPTED")])
def test_the_reason_says_whether_ftsdk_a_user_or_a_limit_stopped_the_job(saved):
    assert state_of({"Status": "Stopped"}, saved, cancelled=True).reason == "cancelled"
    by_hand = {"ReasonCode": "JobStoppedByUser", "ReasonMessage": "Job is stopped by user."}  # the documented example
    assert state_of({"Status": "Stopped", **by_hand}, saved).reason == "stopped"
    limit = {"Status": "Stopped", "ReasonMessage": "exceeded the max running time"}
    assert state_of(limit, saved)[:2] == (JobState.FAILED, "timeout")
