"""The starts of a job's supervisor, read from its log, and the steps that faults cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.resume.records import MeasuredFault
from ftsdk import contract
from ftsdk.jobs.job import Job


@dataclass(slots=True)
class SupervisorStart:
    """One start of the first node's supervisor."""

    trained: bool = False
    resumed_from: int = 0
    reached: int = 0
    unpublished: int | None = None
    """The first step that was saved after the last COMMIT."""


def starts_of(job: Job) -> Iterator[SupervisorStart]:
    """Every start so far, in order."""
    start: SupervisorStart | None = None
    for line in job.logs():
        event = contract.parse_event(line.text)
        if event is None or contract.parse_stamp(line.cursor.split(",")[0]).node:
            continue
        if event["event"] == contract.EVENT_PHASE and event["phase"] == "preparing":
            if start:
                yield start
            start = SupervisorStart()
        elif start:
            _add(start, event)
    if start:
        yield start


def count_losses(job: Job, faults: list[MeasuredFault]) -> None:
    """Set the lost steps of every fault that was an interruption."""
    starts = list(starts_of(job))
    for fault in faults:
        hit = starts[fault.start]
        after = next((start for start in starts[fault.start + 1 :] if start.trained), None)
        if hit.reached and after and fault.is_interruption:
            fault.lost_steps = hit.reached - after.resumed_from
            fault.while_publishing = hit.reached - hit.unpublished if hit.unpublished else 0


def _add(start: SupervisorStart, event: dict[str, Any]) -> None:
    match event["event"]:
        case contract.EVENT_PHASE if event["phase"] == "training":
            start.trained, start.resumed_from = True, event["resume_step"] or 0
        case contract.EVENT_METRICS:
            start.reached = max(start.reached, event["step"])
        case contract.EVENT_CHECKPOINT:
            start.unpublished = start.unpublished or event["step"]
        case contract.EVENT_COMMIT:
            start.unpublished = None
