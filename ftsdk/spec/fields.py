"""The fields of JobSpec for type checkers. Written by `python -m ftsdk.spec.generate`; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

from ftsdk.spec.dataset import Dataset, Table
from ftsdk.spec.hyperparameters import Hyperparameters
from ftsdk.spec.method import Method, Stage
from ftsdk.spec.parts import Budget, Checkpoint, EngineName, Resources, Retry, Tracking
from ftsdk.spec.program import Program, ProgramType
from ftsdk.spec.sharding import Sharding, ShardingType
from ftsdk.spec.tuning import Tuning, TuningType


class SpecFields(TypedDict, total=False):
    """Keyword arguments of `Estimator` and `JobSpec`: every field of JobSpec, in the short forms of YAML too."""

    name: str
    """Label of the job; made from the model and the method if left out."""
    model: str
    """Base model: a hub id, `modelscope:ID`, a folder, `s3://…`, `oss://…`, or a finished job's model URI."""
    revision: str | None
    """Branch, tag or commit of a hub model."""
    method: Stage | Method | Mapping[str, object]
    """What the training optimises, e.g. `sft` or `{stage: dpo, beta: 0.1}`."""
    tuning: TuningType | Tuning | Mapping[str, object]
    """Which weights change, e.g. `lora` or `{type: lora, rank: 16}`."""
    engine: EngineName
    """Trainer that trains it; `auto` takes the first that can, see `ftsdk methods`."""
    dataset: str | Path | Sequence[str | Path] | Sequence[Mapping[str, object]] | Table | Dataset | Mapping[str, object]
    """What the model learns from; with another `program` than `train`, the rows that it reads."""
    hyperparameters: Hyperparameters | Mapping[str, object]
    """How it learns."""
    resources: Resources | Mapping[str, object]
    """What it runs on."""
    sharding: ShardingType | Sharding | Mapping[str, object]
    """How the training's state is spread over the accelerators."""
    checkpoint: Literal["auto"] | Checkpoint | Mapping[str, object]
    """How often the state is made safe."""
    retry: int | Retry | Mapping[str, object]
    """What is started again, and how often; `retry: 3` is short for `{retries: 3}`."""
    budget: Budget | Mapping[str, object]
    """What it may take at most."""
    tracking: Tracking | Mapping[str, object]
    """Where metrics go."""
    secrets: list[str] | tuple[str, ...]
    """Names of environment variables whose values the job needs, e.g. HF_TOKEN; values are never written here."""
    env: Mapping[str, str]
    """Environment variables of the trainer that are no secrets."""
    output: str | None
    """Folder or address under which the job keeps its results; the backend's own place if left out."""
    timeout_hours: float | None
    """Stop the job, with a checkpoint, after this many hours."""
    hang_minutes: float | None
    """Minutes without progress after which a training step counts as hung, or three times the slowest steps if that is
    more; other phases have multiples of it (docs/hangs.md). `null` looks for no hangs."""
    verdict: bool
    """Whether a training with held-out rows measures its model before and after it, and says what it did to it."""
    program: ProgramType | Program | Mapping[str, object]
    """What the job does: `train`, or a program for a model that exists, e.g. `merge` or `{type: merge, dtype: …}`."""
