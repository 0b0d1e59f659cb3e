"""Translate a container's status to a job state, by tables. Pure.

A container that ended by itself leaves an outcome record, which counts more than anything here; these are the ends
that no supervisor could record. Statuses: Docker's Engine API (ContainerState); Podman's own ones beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypedDict

from ftsdk import contract
from ftsdk.backends.base import JobState, ObservedState

STATUSES: Final[Mapping[str, JobState]] = MappingProxyType(
    {
        "created": JobState.PENDING,
        "configured": JobState.PENDING,
        "initialized": JobState.PENDING,
        "running": JobState.RUNNING,
        "paused": JobState.RUNNING,
        "restarting": JobState.RUNNING,
        "stopping": JobState.RUNNING,
        "exited": JobState.FAILED,
        "stopped": JobState.FAILED,
        "removing": JobState.FAILED,
        "dead": JobState.FAILED,
    }
)
EXITS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        0: ("lost", "The container ended without saying how"),
        contract.EXIT_CONTRACT: ("bad_config", "The supervisor refused the job document"),
        126: ("bad_config", "The image's `python` cannot be run"),
        127: ("bad_config", "The image holds no `python`"),
        137: ("killed", "The container was killed"),
        139: ("crashed", "The supervisor crashed (SIGSEGV)"),
    }
)
"""Exit code -> reason and sentence; any other code is a crash of the supervisor."""
STOP_SIGNALS: Final = (130, 137, 143)
"""Exit codes after SIGINT, SIGKILL and SIGTERM (128 + signal)."""


class InspectedState(TypedDict, total=False):
    """`State` of `docker inspect`."""

    Status: str
    ExitCode: int
    OOMKilled: bool
    Error: str
    Running: bool
    Restarting: bool


class InspectedHost(TypedDict, total=False):
    """`HostConfig` of `docker inspect`."""

    RestartPolicy: dict[str, int] | None


class InspectedContainer(TypedDict, total=False):
    """A container in the output of `docker inspect`, as far as it is read."""

    Name: str
    State: InspectedState
    HostConfig: InspectedHost
    RestartCount: int
    Config: dict[str, dict[str, str]]
    NetworkSettings: dict[str, dict[str, list[dict[str, str]] | None]]


class Container(NamedTuple):
    """The fields of `docker inspect` that matter here."""

    name: str
    status: str
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    max_restarts: int = 0


def container(data: InspectedContainer) -> Container:
    """Read one object of `docker inspect`; what is missing has its default."""
    state = data.get("State") or InspectedState()
    policy = (data.get("HostConfig") or InspectedHost()).get("RestartPolicy") or {}
    return Container(
        name=str(data.get("Name", "")).lstrip("/"),
        status=str(state.get("Status", "")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        restarts=int(data.get("RestartCount") or 0),
        max_restarts=int(policy.get("MaximumRetryCount") or 0),
    )


def state_of(native: Container, *, cancelled: bool = False) -> ObservedState:
    """State of one container. An unknown status is RUNNING with a message, never a final state."""
    state = STATUSES.get(native.status)
    if state is None:
        return ObservedState(JobState.RUNNING, message=f"Docker reports a status unknown to ftsdk: '{native.status}'.")
    if native.status == "created" and native.error:
        return ObservedState(JobState.FAILED, "bad_config", f"Docker could not start the container: {native.error}.")
    if not state.terminal:
        return ObservedState(state, message="The container is paused." if native.status == "paused" else "")
    return _end(native, cancelled=cancelled)


def _end(native: Container, *, cancelled: bool) -> ObservedState:
    code = native.exit_code
    if cancelled:
        return ObservedState(JobState.CANCELLED, "cancelled", "Cancelled; the job did not end within its grace.", code)
    if native.oom_killed:
        message = "The job needed more main memory than it was given; raise resources.memory_gb or use smaller batches."
        return ObservedState(JobState.FAILED, "host_oom", message, code)
    if native.error:
        return ObservedState(JobState.FAILED, "error", f"Docker could not run the container: {native.error}.", code)
    if _stopped_by_hand(native):
        message = "The container was stopped from outside (docker stop, docker kill, or Docker's own shutdown)."
        return ObservedState(JobState.FAILED, "stopped", message, code)
    reason, message = EXITS.get(code, ("crashed", f"The supervisor crashed with exit code {code}"))
    return ObservedState(JobState.FAILED, reason, f"{message}; `ftsdk logs` shows the end of its output.", code)


def _stopped_by_hand(native: Container) -> bool:
    """Docker restarts a container that failed by itself; one that it did not restart was stopped from outside."""
    if native.max_restarts:
        return native.exit_code != 0 and native.restarts < native.max_restarts
    return native.exit_code in STOP_SIGNALS


def state_of_all(observed_states: Sequence[ObservedState]) -> ObservedState:
    """One state for a job's nodes: if one has ended, all have; the job runs once all run."""
    for wanted in (JobState.CANCELLED, JobState.FAILED, JobState.PENDING):
        for observed in observed_states:
            if observed.state is wanted:
                return observed
    return next((observed for observed in observed_states if observed.message), ObservedState(JobState.RUNNING))
