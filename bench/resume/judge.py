"""The checks of a training with faults: against limits, and against the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from bench.resume.records import Baseline, MeasuredFault
from bench.resume.setups import Setup
from ftsdk import contract
from ftsdk.jobs.job import Job

COMPARED = ("step", "total_steps", "epoch", "loss", "grad_norm", "learning_rate", "eval_loss", "train_loss")
"""Every logged value that does not depend on the clock."""
LIKELY_REASONS = frozenset({"", "preempted", "stopped", "killed", "communication", "crashed"})
SAVES = ("term", "stop-container")
"""Kinds that leave time to save."""
LOST_AFTER_TERM = 1
EXPECTED: Mapping[str, frozenset[str]] = {"fill-disk": LIKELY_REASONS | {"disk_full"}}
"""Expected reasons of kinds that have others than the likely ones."""

Records = Sequence[Mapping[str, Any]]


def violations(setup: Setup, fault: MeasuredFault) -> Iterator[str]:
    """The limits that the consequences of a fault exceed."""
    name = f"{fault.fault.what} at step {fault.fault.step}"
    if fault.orphans:
        yield f"{name}: {fault.orphans} processes lived on"
    if fault.fault.reason not in EXPECTED.get(fault.fault.kind, LIKELY_REASONS):
        yield f"{name}: ended as {fault.fault.reason}: {fault.fault.message}"
    if fault.lost_steps is not None and fault.fault.kind != "damage":
        allowed = LOST_AFTER_TERM if fault.fault.kind in SAVES else setup.cadence_steps + fault.while_publishing
        if fault.lost_steps > allowed:
            yield f"{name}: {fault.lost_steps} steps were done again"


def differences(baseline: Baseline, job: Job) -> Iterator[str]:
    """The differences between a finished job and the baseline."""
    return unequal(weights(job), job.metrics(), baseline)


def unequal(actual: Mapping[str, str], logged: Records, baseline: Baseline) -> Iterator[str]:
    """The differences between weights and logged values and those of the baseline."""
    if actual != baseline.weights:
        yield "the weights differ"
    records, expected = compared(logged), compared(baseline.metrics)
    if [position(record) for record in records] != [position(record) for record in expected]:
        yield f"the metrics have other steps: {_symmetric(records, expected)}"
    else:
        for record, other in zip(records, expected, strict=True):
            if record != other:
                yield f"logged {record}, baseline {other}"


def _symmetric(actual: Records, expected: Records) -> str:
    def not_in(some: Records, others: Records) -> list[Any]:
        return [position(record) for record in some if position(record) not in map(position, others)]

    return f"{not_in(actual, expected)[:3]} more, {not_in(expected, actual)[:3]} missing"


def compared(records: Records) -> list[dict[str, Any]]:
    """Metric records without the values that depend on the clock."""
    return [{name: record[name] for name in COMPARED if name in record} for record in records]


def position(record: Mapping[str, Any]) -> tuple[int, list[str]]:
    """A record's step and the names of its values."""
    return record["step"], sorted(record)


def weights(job: Job) -> dict[str, str]:
    """SHA-256 of every file of weights."""
    model = job.model()
    names = [name for name in model.files if name.endswith(".safetensors")]
    return hashes({name: model.store.read(f"{contract.MODEL_DIR}/{name}") for name in names})


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 by name."""
    return {name: sha256(data).hexdigest() for name, data in sorted(files.items())}
