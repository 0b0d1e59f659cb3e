"""ftsdk's training jobs: listed by name, described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.backends.sagemaker import states
from ftsdk.backends.sagemaker.request import durable_of
from ftsdk.backends.sagemaker.service import AwsRefusedError, AwsServices, says_not_found
from ftsdk.backends.sagemaker.shapes import TrainingJobDescription
from ftsdk.contract import Reason
from ftsdk.contract.documents import Outcome
from ftsdk.errors import JobNotFoundError
from ftsdk.sizing.price.prices import packaged_prices, price_of

MOST_ROWS: Final = 100
"""Rows of one page; the service's default is 10, and an account can have thousands of jobs."""
UNSURE: Final = ("error", "stopped")
"""Reasons that are not reliable in a listing, which lacks FailureReason and the supervisors' records."""


class TrainingAttempt(NamedTuple):
    """One attempt as a training job."""

    attempt: int
    response: TrainingJobDescription
    """Response of DescribeTrainingJob, or a row of ListTrainingJobs."""

    @property
    def name(self) -> str:
        """TrainingJobName."""
        return str(self.response["TrainingJobName"])

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.response["TrainingJobStatus"] in states.ENDS

    @property
    def durable(self) -> str:
        """Address of the job's folder."""
        return durable_of(self.response)

    @property
    def num_nodes(self) -> int:
        """Machines."""
        resources = self.response["ResourceConfig"]
        preferred = resources.get("InstancePreferences")
        return resources.get("InstanceCount") or (preferred[0].get("InstanceCount") if preferred else None) or 1

    @property
    def instance_type(self) -> str:
        """The machine type, as far as it is chosen."""
        resources = self.response["ResourceConfig"]
        preferred = resources.get("InstancePreferences")
        chosen = resources.get("SelectedInstanceType") or resources.get("InstanceType")
        return chosen or (preferred[0].get("InstanceType", "") if preferred else "")


def describe(services: AwsServices, native_name: str) -> TrainingAttempt | None:
    """One attempt, or None if there is none of this name."""
    try:
        response: TrainingJobDescription = services.call(
            "sagemaker", "describe_training_job", TrainingJobName=native_name
        )
    except AwsRefusedError as problem:
        if says_not_found(problem):
            return None
        raise
    return TrainingAttempt(contract.split_native_name(native_name)[1], response)


def attempts(services: AwsServices, name: str) -> list[int]:
    """Numbers of a job's attempts, in their order. Raises JobNotFoundError if it has none."""
    numbers = []
    for row in _rows(services, f"{name}-a"):
        job, number = contract.split_native_name(row["TrainingJobName"])
        if job == name:
            numbers.append(number)
    if not numbers:
        raise JobNotFoundError(
            f"There is no job sagemaker://{services.region}/{name}; `ftsdk jobs -b sagemaker` lists those there are."
        )
    return sorted(numbers)


def newest(services: AwsServices, name: str) -> TrainingAttempt:
    """The newest attempt. Raises JobNotFoundError if there is none."""
    native = describe(services, contract.native_name(name, attempts(services, name)[-1]))
    if native is None:
        raise JobNotFoundError(f"Job {name} was deleted in SageMaker a moment ago.")
    return native


def each(services: AwsServices) -> Iterator[JobInfo]:
    """The newest attempt of every ftsdk job, newest first, from the listing alone."""
    seen = set()
    for row in _rows(services, "-a"):
        name, number = contract.split_native_name(row["TrainingJobName"])
        if name not in seen:
            seen.add(name)
            listed = info(name, TrainingAttempt(number, row), None, cancelled=False)
            yield replace(listed, reason=Reason.NONE, message="") if listed.reason in UNSURE else listed


def active(services: AwsServices) -> frozenset[str]:
    """Names of the ftsdk jobs with an attempt in progress, a hundred in a request."""
    rows = _rows(services, "-a", StatusEquals="InProgress")
    return frozenset(contract.split_native_name(row["TrainingJobName"])[0] for row in rows)


def info(name: str, native: TrainingAttempt, outcome: Outcome | None, *, cancelled: bool) -> JobInfo:
    """Translate a description to a JobInfo."""
    response = native.response
    observed = states.state_of(response, outcome, cancelled=cancelled)
    ended = response.get("TrainingEndTime") or (response.get("LastModifiedTime") if observed.state.terminal else None)
    return JobInfo(
        name=name,
        state=observed.state,
        reason=Reason.parse(observed.reason),
        message=observed.message,
        attempt=native.attempt,
        created_at=_seconds(response.get("CreationTime")),
        ended_at=_seconds(ended) if observed.state.terminal else None,
        exit_code=observed.exit_code,
        native={
            "name": native.name,
            "arn": response.get("TrainingJobArn", ""),
            "status": response.get("TrainingJobStatus", ""),
            "secondary_status": response.get("SecondaryStatus", ""),
            **_costs(native),
        },
    )


def _costs(native: TrainingAttempt) -> dict[str, object]:
    """Billed time and cost, once known. Spot savings show as fewer billable seconds at the full price."""
    response = native.response
    billable, trained = response.get("BillableTimeInSeconds"), response.get("TrainingTimeInSeconds")
    if billable is None or "ResourceConfig" not in response:
        return {}
    region = str(response.get("TrainingJobArn", "::::")).split(":")[3] or None
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


def _rows(services: AwsServices, part: str, **fields: str) -> Iterator[TrainingJobDescription]:
    order = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": MOST_ROWS}
    pages = services.pages("sagemaker", "list_training_jobs", NameContains=part, **order, **fields)
    return (
        row
        for page in pages
        for row in page["TrainingJobSummaries"]
        if contract.NATIVE_NAME.fullmatch(row["TrainingJobName"])
    )


def _seconds(time: datetime | None) -> float | None:
    return time.timestamp() if time else None
