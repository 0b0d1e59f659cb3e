"""Evaluation: what a model scored on held-out rows, beside another model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from ftsdk.contract.json_data import from_data

FILE = "evaluation.json"
FOLDER = "evaluations"
"""Folder of a model's job that holds its evaluations, `NAME.json` each."""
Verdict = Literal["better", "worse", "same", ""]


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric."""

    value: float
    against: float | None
    """The other model's value; None without one."""
    low: float | None
    high: float | None
    """95 % interval of `value - against`, by a paired bootstrap over the rows."""
    verdict: Verdict
    """`same` if the interval holds 0; empty without another model."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A held-out row and the answers to it."""

    prompt: str
    reference: str
    answer: str
    against: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge said of the rows, each asked in both orders."""

    model: str
    wins: int
    """Rows in which this model's answer is the better one in both orders."""
    ties: int
    losses: int
    order_decided: int
    """Ties in which the judge took the same place twice."""
    unreadable: int
    """Ties in which a reply named no answer, or several."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics by name, and samples if answers were generated."""

    job_uri: str
    num_rows: int
    metrics: Mapping[str, Measured]
    samples: tuple[Sample, ...]
    judge: Judged | None = None
    """None without a judge."""

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, job_uri: str, data: Mapping[str, object]) -> Evaluation:
        """Read the `evaluation.json` of a job."""
        return from_data(cls, {**data, "job_uri": job_uri})
