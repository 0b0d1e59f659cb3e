"""Training jobs of ours: found by their names, described, counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.backends.sagemaker import states
from ftsdk.backends.sagemaker.request import durable_of
from ftsdk.backends.sagemaker.service import RefusedError, Services, says_not_found
from ftsdk.contract import Reason
from ftsdk.contract.documents import Outcome
from ftsdk.errors import JobNotFoundError
from ftsdk.sizing.price.prices import packaged_prices, price_of

MOST_ROWS: Final = 100
"""Of one page; the service's own default is 10, and an account has thousands of jobs."""
UNSURE: Final = ("error", "stopped")
"""Reasons that a listing's row gives only because it lacks FailureReason and our own records."""


class Native(NamedTuple):
    """One attempt as a training job."""

    attempt: int
    said: dict[str, Any]
    """DescribeTrainingJob's answer, or a row of ListTrainingJobs."""

    @property
    def name(self) -> str:
        """TrainingJobName."""
        return str(self.said["TrainingJobName"])

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.said["TrainingJobStatus"] in states.ENDS

    @property
    def durable(self) -> str:
        """Address of the job's folder."""
        return durable_of(self.said)

    @property
    def num_nodes(self) -> int:
        """Machines."""
        resources = self.said["ResourceConfig"]
        preferred = resources.get("InstancePreferences") or [{}]
        return int(resources.get("InstanceCount") or preferred[0].get("InstanceCount") or 1)

    @property
    def instance_type(self) -> str:
        """The machine type, as far as it is chosen."""
        resources = self.said["ResourceConfig"]
        preferred = resources.get("InstancePreferences") or [{}]
        chosen = resources.get("SelectedInstanceType") or resources.get("InstanceType")
        return str(chosen or preferred[0].get("InstanceType", ""))


def describe(services: Services, native_name: str) -> Native | None:
    """One attempt, or None if there is none of this name."""
    try:
        said = services.call("sagemaker", "describe_training_job", TrainingJobName=native_name)
    except RefusedError as problem:
        if says_not_found(problem):
            return None
        raise
    return Native(contract.split_native_name(native_name)[1], said)


def attempts(services: Services, name: str) -> list[int]:
    """Numbers of a job's attempts, in their order. Raises JobNotFoundError if it has none."""
    found = []
    for row in _rows(services, f"{name}-a"):
        job, number = contract.split_native_name(row["TrainingJobName"])
        if job == name:
            found.append(number)
    if not found:
        raise JobNotFoundError(
            f"There is no job sagemaker://{services.region}/{name}; `ftsdk jobs -b sagemaker` lists those there are."
        )
    return sorted(found)


def newest(services: Services, name: str) -> Native:
    """The newest attempt. Raises JobNotFoundError if there is none."""
    native = describe(services, contract.native_name(name, attempts(services, name)[-1]))
    if native is None:
        raise JobNotFoundError(f"Job {name} was deleted in SageMaker a moment ago.")
    return native


def each(services: Services) -> Iterator[JobInfo]:
    """The newest attempt of every job of ours, newest first, from the listing alone."""
    seen = set()
    for row in _rows(services, "-a"):
        name, number = contract.split_native_name(row["TrainingJobName"])
        if name not in seen:
            seen.add(name)
            found = info(name, Native(number, row), None, cancelled=False)
            yield replace(found, reason=Reason.NONE, message="") if found.reason in UNSURE else found


def info(name: str, native: Native, outcome: Outcome | None, *, cancelled: bool) -> JobInfo:
    """What a description says in our words."""
    said = native.said
    verdict = states.state_of(said, outcome, cancelled=cancelled)
    ended = said.get("TrainingEndTime") or (said.get("LastModifiedTime") if verdict.state.terminal else None)
    return JobInfo(
        name=name,
        state=verdict.state,
        reason=Reason.parse(verdict.reason),
        message=verdict.message,
        attempt=native.attempt,
        created_at=_seconds(said.get("CreationTime")),
        ended_at=_seconds(ended) if verdict.state.terminal else None,
        exit_code=verdict.exit_code,
        native={
            "name": native.name,
            "arn": said.get("TrainingJobArn", ""),
            "status": said.get("TrainingJobStatus", ""),
            "secondary_status": said.get("SecondaryStatus", ""),
            **_costs(native),
        },
    )


def _costs(native: Native) -> dict[str, Any]:
    """Time and money, once the platform counts them. Spot billing shows in the billable time, at the full price."""
    said = native.said
    billable, trained = said.get("BillableTimeInSeconds"), said.get("TrainingTimeInSeconds")
    if billable is None or "ResourceConfig" not in said:
        return {}
    region = str(said.get("TrainingJobArn", "::::")).split(":")[3] or None
    price = price_of("sagemaker", native.instance_type, region, packaged_prices())
    cost = price.usd_per_hour * native.num_nodes * billable / 3600 if price else None
    return {
        "instance_type": native.instance_type,
        "instance_count": native.num_nodes,
        "training_seconds": trained,
        "billable_seconds": billable,
        "spot_saving_percent": round(100 * (1 - billable / trained), 1) if trained else None,
        "cost_usd": None if cost is None else round(cost, 4),
    }


def _rows(services: Services, part: str) -> Iterator[dict[str, Any]]:
    order = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": MOST_ROWS}
    pages = services.pages("sagemaker", "list_training_jobs", NameContains=part, **order)
    return (
        row
        for page in pages
        for row in page["TrainingJobSummaries"]
        if contract.NATIVE_NAME.fullmatch(row["TrainingJobName"])
    )


def _seconds(time: datetime | None) -> float | None:
    return time.timestamp() if time else None
