"""What Docker says of a container -> what it means for the job, by tables. Pure.

A container that ended by itself leaves an outcome record, which counts more than anything here; these are the ends
that no supervisor lived to describe. Statuses: Docker's Engine API (ContainerState); Podman's own ones beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ftsdk import contract
from ftsdk.backends.base import JobState, Verdict

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


class Container(NamedTuple):
    """What `docker inspect` says, as far as it matters."""

    name: str
    status: str
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    max_restarts: int = 0


def container(data: Mapping[str, Any]) -> Container:
    """Read one object of `docker inspect`; what is missing has its default."""
    state = data.get("State") or {}
    policy = (data.get("HostConfig") or {}).get("RestartPolicy") or {}
    return Container(
        name=str(data.get("Name", "")).lstrip("/"),
        status=str(state.get("Status", "")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        restarts=int(data.get("RestartCount") or 0),
        max_restarts=int(policy.get("MaximumRetryCount") or 0),
    )


def state_of(native: Container, *, cancelled: bool = False) -> Verdict:
    """State of one container. An unknown status is RUNNING with a warning, never an end."""
    state = STATUSES.get(native.status)
    if state is None:
        return Verdict(JobState.RUNNING, message=f"Docker reports a status unknown to ftsdk: '{native.status}'.")
    if native.status == "created" and native.error:
        return Verdict(JobState.FAILED, "bad_config", f"Docker could not start the container: {native.error}.")
    if not state.terminal:
        return Verdict(state, message="The container is paused." if native.status == "paused" else "")
    return _end(native, cancelled=cancelled)


def _end(native: Container, *, cancelled: bool) -> Verdict:
    code = native.exit_code
    if cancelled:
        return Verdict(JobState.CANCELLED, "cancelled", "Cancelled; the job did not end within its grace.", code)
    if native.oom_killed:
        said = "The job needed more main memory than it was given; raise resources.memory_gb or use smaller batches."
        return Verdict(JobState.FAILED, "host_oom", said, code)
    if native.error:
        return Verdict(JobState.FAILED, "error", f"Docker could not run the container: {native.error}.", code)
    if _stopped_by_hand(native):
        said = "The container was stopped from outside (docker stop, docker kill, or Docker's own shutdown)."
        return Verdict(JobState.FAILED, "stopped", said, code)
    reason, said = EXITS.get(code, ("crashed", f"The supervisor crashed with exit code {code}"))
    return Verdict(JobState.FAILED, reason, f"{said}; `ftsdk logs` shows its last words.", code)


def _stopped_by_hand(native: Container) -> bool:
    """Docker restarts a container that failed by itself; one that it left alone was stopped by somebody."""
    if native.max_restarts:
        return native.exit_code != 0 and native.restarts < native.max_restarts
    return native.exit_code in STOP_SIGNALS


def state_of_all(verdicts: Sequence[Verdict]) -> Verdict:
    """One state for a job's nodes: an end of one is the end of all, and it runs once all run."""
    for wanted in (JobState.CANCELLED, JobState.FAILED, JobState.PENDING):
        for verdict in verdicts:
            if verdict.state is wanted:
                return verdict
    return next((verdict for verdict in verdicts if verdict.message), Verdict(JobState.RUNNING))
