"""Requests to SkyPilot and its responses, as far as they are written or read, in SkyPilot's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class SkyTask(TypedDict, total=False):
    """What `sky launch` and `sky jobs launch` take as a YAML file; a user may pass further fields through."""

    name: str
    num_nodes: int
    service: Mapping[str, object]
    resources: Mapping[str, object]
    """One choice, or several in `ordered` or `any_of`."""
    file_mounts: dict[str, str]
    envs: dict[str, str]
    secrets: dict[str, None]
    """Names only."""
    setup: str
    config: Mapping[str, object]
    run: str


class SkyRequest(TypedDict):
    """The request of a plan: a task, and how SkyPilot runs it."""

    kind: str
    """`managed`, `launched` or `on-cluster`."""
    cluster: str
    folder: str
    """The job's durable folder."""
    task: SkyTask


class SdkRequest(TypedDict, total=False):
    """What `sdk.py` reads; a launch has all fields, the other verbs have none but `verb`."""

    verb: str
    kind: str
    cluster: str
    task: SkyTask
    secrets: dict[str, str]


class SdkError(TypedDict):
    """An exception of SkyPilot's package."""

    type: str
    message: str


class SdkResponse(TypedDict, total=False):
    """What `sdk.py` writes: the fields of one verb, or an error."""

    request_id: str
    version: str
    infra: list[str]
    error: SdkError


class QueueRecord(TypedDict, total=False):
    """A job in the queue of the jobs controller or of a cluster."""

    job_id: int
    job_name: str
    status: str
    failure_reason: str | None
    recovery_count: int | None


class CostRecord(TypedDict):
    """A cluster in SkyPilot's cost report."""

    name: str
    launched_at: float | None
    duration: float | None
    total_cost: float | None
