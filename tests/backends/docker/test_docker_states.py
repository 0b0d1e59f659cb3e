"""Docker's words and what they mean for a job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftsdk import contract
from ftsdk.backends.base import JobState, ObservedState
from ftsdk.backends.docker.states import STATUSES, Container, container, state_of, state_of_all

PENDING, RUNNING, FAILED, CANCELLED = JobState.PENDING, JobState.RUNNING, JobState.FAILED, JobState.CANCELLED


def exited(code, **more):
    return Container("n", "exited", exit_code=code, **more)


LEFT_ALONE = {"restarts": 2, "max_restarts": 2}
CASES = {
    "not started yet": (Container("n", "created"), PENDING, ""),
    "could not be started": (Container("n", "created", error="exec: no python", exit_code=127), FAILED, "bad_config"),
    "running": (Container("n", "running"), RUNNING, ""),
    "paused": (Container("n", "paused"), RUNNING, ""),
    "between two starts": (Container("n", "restarting", exit_code=70), RUNNING, ""),
    "a status of tomorrow": (Container("n", "hibernating"), RUNNING, ""),
    "no status at all": (Container("n", ""), RUNNING, ""),
    "out of memory": (exited(137, oom_killed=True, **LEFT_ALONE), FAILED, "host_oom"),
    "docker kill": (exited(137, max_restarts=2), FAILED, "stopped"),
    "docker stop of a supervisor that was deaf": (exited(137, restarts=1, max_restarts=2), FAILED, "stopped"),
    "docker stop before the supervisor's handlers": (exited(143, max_restarts=2), FAILED, "stopped"),
    "docker kill without restarts": (exited(137), FAILED, "stopped"),
    "killed again and again": (exited(137, **LEFT_ALONE), FAILED, "killed"),
    "segmentation fault": (exited(139, **LEFT_ALONE), FAILED, "crashed"),
    "another contract": (exited(contract.EXIT_CONTRACT, **LEFT_ALONE), FAILED, "bad_config"),
    "python is no program": (exited(126, **LEFT_ALONE), FAILED, "bad_config"),
    "no python": (exited(127, **LEFT_ALONE), FAILED, "bad_config"),
    "a broken supervisor": (exited(1, **LEFT_ALONE), FAILED, "crashed"),
    "gone without a word": (exited(0, max_restarts=2), FAILED, "lost"),
    "the daemon could not restart it": (exited(255, error="mount: no such file", **LEFT_ALONE), FAILED, "error"),
    "being removed": (Container("n", "removing", exit_code=0), FAILED, "lost"),
    "dead": (Container("n", "dead", exit_code=1, **LEFT_ALONE), FAILED, "crashed"),
}


@pytest.mark.parametrize("case", CASES)
def test_state_of(case):
    native, state, reason = CASES[case]
    verdict = state_of(native)
    assert (verdict.state, verdict.reason) == (state, reason)
    assert bool(verdict.message) == (state is FAILED or native.status not in STATUSES or native.status == "paused")


def test_a_cancelled_job_that_had_to_be_killed_is_cancelled():
    assert state_of(exited(137, max_restarts=2), cancelled=True)[:2] == (CANCELLED, "cancelled")
    assert state_of(Container("n", "running"), cancelled=True).state is RUNNING


@given(st.text(), st.integers(0, 255), st.booleans(), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_reasons_are_in_the_contract_and_an_unknown_status_is_not_final(status, code, oom, restarts, most, cancelled):
    verdict = state_of(Container("n", status, code, oom, "", restarts, most), cancelled=cancelled)
    assert verdict.reason in ("", *contract.REASONS)
    assert status in STATUSES or verdict.state is RUNNING
    assert bool(verdict.reason) == verdict.state.terminal


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ([], RUNNING),
        ([RUNNING, RUNNING], RUNNING),
        ([RUNNING, PENDING], PENDING),
        ([RUNNING, FAILED], FAILED),
        ([FAILED, CANCELLED], CANCELLED),
    ],
)
def test_the_nodes_of_a_job_together(states, whole):
    assert state_of_all([ObservedState(state) for state in states]).state is whole


def test_a_message_of_one_node_is_part_of_the_jobs_message():
    assert "hibernating" in state_of_all([ObservedState(RUNNING), state_of(Container("n", "hibernating"))]).message


def test_fields_of_docker_inspect_are_read():
    said = {
        "Name": "/job-a1-n0",
        "RestartCount": 1,
        "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True, "Error": ""},
        "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}},
    }
    assert container(said) == Container("job-a1-n0", "exited", 137, True, "", 1, 2)
    assert container({}) == Container("", "")
