"""What a training under harm must not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ftsdk import contract
from ftsdk.jobs.job import Job

if TYPE_CHECKING:
    from bench.resume.campaign import Blow, Reference
    from bench.resume.setups import Setup

COMPARED = ("step", "total_steps", "epoch", "loss", "grad_norm", "learning_rate", "eval_loss", "train_loss")
"""Every logged value but those that depend on the clock."""
LIKELY_REASONS = frozenset({"", "preempted", "stopped", "killed", "communication", "crashed"})
SAVES = ("term", "stop-container")
"""Kinds that leave time to save."""
LOST_AFTER_TERM = 1
EXPECTED: Mapping[str, frozenset[str]] = {"fill-disk": LIKELY_REASONS | {"disk_full"}}
"""Reasons beside the likely ones, by kind."""


def faults(setup: Setup, blow: Blow) -> Iterator[str]:
    """What one harm must not lead to."""
    who = f"{blow.strike.what} at step {blow.strike.step}"
    if blow.orphans:
        yield f"{who}: {blow.orphans} processes lived on"
    if blow.strike.reason not in EXPECTED.get(blow.strike.kind, LIKELY_REASONS):
        yield f"{who}: ended as {blow.strike.reason}: {blow.strike.message}"
    if blow.lost_steps is not None and blow.strike.kind != "damage":
        allowed = LOST_AFTER_TERM if blow.strike.kind in SAVES else setup.cadence_steps + blow.while_publishing
        if blow.lost_steps > allowed:
            yield f"{who}: {blow.lost_steps} steps were done again"


def differences(peace: Reference, job: Job) -> Iterator[str]:
    """In what a finished job differs from the training in peace."""
    return unequal(weights(job), job.metrics(), peace)


def unequal(ours: Mapping[str, str], logged: list[dict[str, Any]], peace: Reference) -> Iterator[str]:
    """In what weights and logged values differ from those of the training in peace."""
    if ours != peace.weights:
        yield "the weights differ"
    found, wanted = compared(logged), compared(peace.metrics)
    if [place(record) for record in found] != [place(record) for record in wanted]:
        yield f"the metrics have other steps: {_symmetric(found, wanted)}"
    else:
        for record, other in zip(found, wanted, strict=True):
            if record != other:
                yield f"logged {record}, in peace {other}"


def _symmetric(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> str:
    def not_in(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[Any]:
        return [place(record) for record in some if place(record) not in map(place, others)]

    return f"{not_in(ours, theirs)[:3]} more, {not_in(theirs, ours)[:3]} missing"


def compared(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Metric records without what depends on the clock."""
    return [{name: record[name] for name in COMPARED if name in record} for record in records]


def place(record: dict[str, Any]) -> tuple[int, list[str]]:
    """A record's step and what it logs."""
    return record["step"], sorted(record)


def weights(job: Job) -> dict[str, str]:
    """SHA-256 of every file of weights."""
    model = job.model()
    names = [name for name in model.files if name.endswith(".safetensors")]
    return hashes({name: model.store.read(f"{contract.MODEL_DIR}/{name}") for name in names})


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 by name."""
    return {name: sha256(data).hexdigest() for name, data in sorted(files.items())}
