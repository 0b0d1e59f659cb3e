"""The lineage of a model: what the launcher knows before the job, and the record that the job stores with its model.

This module travels inside the job, so it imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypedDict

from ftsdk.contract.spec_document import SpecDocument

LINEAGE_FILE: Final = "ftsdk.json"
"""Name of the record in a model's folder."""
LINEAGE_FORMAT: Final = 1
VERDICT_FILE: Final = "verdict.json"
"""Name of a training's verdict in its model's folder."""


class OriginFile(TypedDict):
    """A local file that the training reads."""

    name: str
    """Path below its folder; a single file has its name only."""
    role: str
    """`model`, `train`, `eval`, `reward_model`, `reward` or `attached`."""
    bytes: int
    sha256: str


class GitState(TypedDict):
    """The user's repository when the job was planned."""

    commit: str
    dirty: bool
    """Whether it had changes that are not committed."""


class Origin(TypedDict):
    """What the launcher knows of a model before it exists; part of the job document. Holds no secret."""

    job: str
    """URI of the job."""
    spec: SpecDocument
    options: Mapping[str, object]
    """The backend's options."""
    folder: str
    """Folder of the spec's relative paths, on the machine that submitted the job."""
    base_model: str
    revision: str | None
    """Branch, tag or commit of a hub model."""
    files: list[OriginFile]
    image: str | None
    """Image that the job runs in; None without one."""
    git: GitState | None
    ftsdk: str
    """Version of the launcher."""
    parents: list[LineageRecord]
    """Of each model that the training starts from and ftsdk made."""


class Machine(TypedDict):
    """The machine of a job's first node."""

    platform: str
    processor: str
    cpus: int
    memory_gb: float | None
    accelerators: list[str]


class AttemptSummary(TypedDict):
    """An attempt as its claim and its clock say."""

    number: int
    started_at: float | None
    """Seconds since the epoch."""
    seconds: float
    """Time that it has run."""
    spot: bool
    usd_per_hour: float | None
    why: str


class ModelFile(TypedDict):
    """A file of a model."""

    bytes: int
    sha256: str


class MeasuredMetric(TypedDict, total=False):
    """A metric of an evaluation, beside that of another model."""

    value: float
    against: float | None
    low: float | None
    high: float | None
    verdict: str


class EvaluationSample(TypedDict, total=False):
    """A held-out row and the answers to it."""

    prompt: str
    reference: str
    answer: str
    against: str | None


class EvaluationRecord(TypedDict, total=False):
    """What `ftsdk evaluate` has stored with the model."""

    name: str
    metrics: dict[str, MeasuredMetric | float]
    """A number alone in records of earlier releases."""
    job_uri: str
    num_rows: int
    samples: list[EvaluationSample]


class VerdictRecord(EvaluationRecord, total=False):
    """What a training did to its model, measured on held-out rows; `against` is the model before the training."""

    verdict: str
    """`better`, `same` or `worse`."""
    overfitted: bool
    """Whether it fits the rows that it has seen better than before, and the held-out ones worse."""
    forgotten: dict[str, float]
    """Kind of general text -> by how many nats per token it is predicted worse; only kinds that are forgotten."""


def verdict_sentence(record: VerdictRecord) -> str:
    """A verdict in a sentence or two."""
    name = next(iter(record["metrics"]))
    figures = record["metrics"][name]
    numbers = f"{figures['value']:.4g}, was {figures['against']:.4g}" if isinstance(figures, dict) else ""
    how = {"same": "The same as"}.get(record["verdict"], f"{record['verdict'].capitalize()} than")
    why = (
        " It fits the rows that it has seen better: overfitted, or other rows are held out."
        if record.get("overfitted")
        else ""
    )
    kinds = ", ".join(f"{kind} (+{rise:.2g} nats per token)" for kind, rise in record.get("forgotten", {}).items())
    forgotten = f" Forgotten: {kinds}." if kinds else ""
    return f"{how} before the training on {record['num_rows']} held-out rows: {name} {numbers}.{why}{forgotten}"


class LineageRecord(TypedDict, total=False):
    """`ftsdk.json`. Fields of `Origin` are missing in a job that an earlier launcher submitted."""

    format: int
    """`LINEAGE_FORMAT`."""
    name: str
    digest: str
    """Digest of spec and data."""
    backend: str
    job: str
    spec: SpecDocument
    options: Mapping[str, object]
    folder: str
    base_model: str
    revision: str | None
    inputs: list[OriginFile]
    image: str | None
    git: GitState | None
    ftsdk: str
    parents: list[LineageRecord]
    seed: int | None
    num_nodes: int
    processes_per_node: int
    versions: dict[str, str]
    """Package -> version, in the interpreter that trained."""
    machine: Machine
    attempts: list[AttemptSummary]
    hours: float
    """Running time over all attempts."""
    cost_usd: float | None
    """None if a price is unknown."""
    step: int | None
    metrics: dict[str, object]
    """The newest value of every metric."""
    files: dict[str, ModelFile]
    finished_at: float
    """Seconds since the epoch."""
    evaluations: list[EvaluationRecord]
    """Records of `ftsdk evaluate`, added by the reader."""
