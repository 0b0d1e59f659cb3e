"""Every status that SkyPilot has means something; its errors become ours."""

import pytest

from ftsdk import contract, errors
from ftsdk.backends.base import JobState
from ftsdk.backends.skypilot import failures, states
from ftsdk.backends.skypilot.states import CLUSTER_STATUSES, MANAGED_STATUSES, QueueRow
from tests import slurm

ALL = """
import inspect, json, sky, sky.exceptions
from sky.jobs.state import ManagedJobStatus
classes = [name for name, _ in inspect.getmembers(sky.exceptions, inspect.isclass)]
print(json.dumps([[s.value for s in ManagedJobStatus], [s.value for s in sky.JobStatus], classes]))
"""


@pytest.mark.skypilot
def test_the_tables_have_every_status_and_only_existing_error_classes():
    managed, on_cluster, classes = slurm.ask_sky(ALL)
    assert set(managed) == set(MANAGED_STATUSES)
    assert set(on_cluster) == set(CLUSTER_STATUSES)
    known = {name for pattern, *_ in failures.KINDS for name in pattern.split("|") if name.isidentifier()}
    assert known <= {*classes, "ModuleNotFoundError"}


@pytest.mark.parametrize("table", [MANAGED_STATUSES, CLUSTER_STATUSES])
def test_every_end_has_a_reason(table):
    for status in table:
        verdict = states.state_of(QueueRow(status), table)
        assert (verdict.reason in contract.REASONS) == verdict.state.terminal
        assert verdict.state is not JobState.SUCCEEDED  # only an outcome record says so
        if verdict.state.terminal:
            assert states.state_of(QueueRow(status), table, cancelled=True).state is JobState.CANCELLED


def test_an_unknown_status_is_no_end():
    verdict = states.state_of(QueueRow("DANCING"), MANAGED_STATUSES)
    assert verdict.state is JobState.RUNNING
    assert "DANCING" in verdict.message


def test_a_cancel_from_outside_has_the_reason_stopped():
    assert states.state_of(QueueRow("CANCELLED"), MANAGED_STATUSES).reason == "stopped"


def test_skypilots_message_is_part_of_ours():
    verdict = states.state_of(QueueRow("FAILED_NO_RESOURCE", reason="tried us-west-2, us-east-1"), MANAGED_STATUSES)
    assert (verdict.reason, "tried us-west-2" in verdict.message) == ("capacity", True)


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("NoCloudAccessError", "Cloud access is not set up. Run: sky check", errors.AuthError),
        ("ResourcesUnavailableError", "Task requires aws which is not enabled.", errors.AuthError),
        ("ResourcesUnavailableError", "Failed to provision: VcpuLimitExceeded in us-west-2", errors.QuotaError),
        (
            "ResourcesUnavailableError",
            "Catalog does not contain any instances\n-----\nsatisfying",
            errors.CapacityError,
        ),
        ("ResourcesUnavailableError", "Failed to acquire resources in all zones in us-west-2", errors.CapacityError),
        ("NotSupportedError", "Docker image is not supported on Slurm", errors.BackendError),
        ("ClusterDoesNotExist", "\x1b[33mCluster 'x' does not exist.\x1b[0m", errors.UnavailableError),
        ("ApiServerAuthenticationError", "login", errors.AuthError),
        ("ModuleNotFoundError", "No module named 'sky'", errors.NotInstalledError),
        ("SomethingNew", "of which we know nothing", errors.BackendError),
    ],
)
def test_an_error_of_skypilot_becomes_an_ftsdk_error(kind, message, expected):
    problem = failures.error(kind, message)
    assert type(problem) is expected
    assert "\x1b" not in str(problem)
    assert "\n" not in str(problem)
    assert failures.reason(problem) in contract.REASONS


HUNT = """\
\x1b[31mFailed to provision all possible launchable resources.\x1b[0m Relax the task's resource requirements: 2x AWS
Provision failures (tried 2 infra):

✗ AWS (usw2-az1) — [spot](gpus=A100-80GB:8, p4de.24xlarge, ...)
  Failed to acquire resources in usw2-az1: {why}

✗ AWS (use1-az1) — [spot](gpus=H100:8, p5.48xlarge, ...)
  Failed to acquire resources in use1-az1.
"""


@pytest.mark.parametrize(
    ("why", "kind"), [("out of capacity", errors.CapacityError), ("VcpuLimitExceeded", errors.QuotaError)]
)
def test_the_error_lists_where_machines_were_tried(why, kind):
    problem = failures.error("ResourcesUnavailableError", HUNT.format(why=why))
    assert type(problem) is kind
    said = "(tried AWS (usw2-az1) — [spot](gpus=A100-80GB:8, p4de.24xlarge, ...); AWS (use1-az1) — [spot](gpus=H100:8, "
    assert said in str(problem)


def test_the_last_lines_of_a_log_are_the_jobs_own():
    log = (
        "└── Job started. Streaming logs...\n\x1b[36m(setup pid=7)\x1b[0m no space left\nERROR: Job 1's setup failed\n"
    )
    assert failures.last_lines(log) == "Its last lines: no space left"
    assert failures.last_lines("(worker1, rank=1, pid=9, ip=10.0.0.1) boom") == "Its last lines: boom"
    assert failures.last_lines("✓ Job finished (status: FAILED).") == ""
