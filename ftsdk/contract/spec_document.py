"""The spec as JSON: a part of plans, of job documents and of lineage records.

`JobSpec.to_json` writes it and `JobSpec` validates it; named here are the fields that are read without validating them.
This module travels inside the job, so it imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict


class MethodDocument(TypedDict):
    """What the training optimises; `ftsdk.spec.method.Method` has its other fields."""

    stage: str


class DatasetDocument(TypedDict):
    """The rows; `ftsdk.spec.dataset.Dataset` has the other fields."""

    train: list[str]
    eval: list[str]
    eval_fraction: float | None
    eval_rows: int | None
    directory: str | None


class ResourcesDocument(TypedDict):
    """The hardware; `ftsdk.spec.parts.Resources` has the other fields."""

    accelerator: NotRequired[str | None]
    spot: bool


class BudgetDocument(TypedDict):
    """The limits; `ftsdk.spec.parts.Budget` has the other fields."""

    finish_by: str | None


class ProgramDocument(TypedDict):
    """What a job does; `ftsdk.spec.program` has the fields of each type."""

    type: str


class SpecDocument(TypedDict, total=False):
    """Every field of `JobSpec`; a spec that an earlier release wrote lacks some."""

    name: str
    model: str
    revision: str | None
    engine: str
    method: MethodDocument
    tuning: Mapping[str, object]
    dataset: DatasetDocument
    """Missing where the program reads no rows."""
    hyperparameters: Mapping[str, object]
    resources: ResourcesDocument
    sharding: Mapping[str, object]
    checkpoint: Mapping[str, object]
    retry: Mapping[str, object]
    budget: BudgetDocument
    tracking: Mapping[str, object]
    secrets: list[str]
    env: Mapping[str, str]
    output: str | None
    timeout_hours: float | None
    hang_minutes: float | None
    verdict: bool
    """Missing: true."""
    program: ProgramDocument
    """Missing for a training."""
