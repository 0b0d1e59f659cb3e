"""JobSpec: one fine-tuning, described once. It knows nothing of clouds and does no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, cast

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from ftsdk.spec.base import Part
from ftsdk.spec.dataset import Dataset
from ftsdk.spec.hyperparameters import Hyperparameters
from ftsdk.spec.method import Method
from ftsdk.spec.parts import Budget, Checkpoint, EngineName, Resources, Retry, Tracking
from ftsdk.spec.program import Generate, Program, Train, needs_rows
from ftsdk.spec.sharding import Sharding
from ftsdk.spec.tuning import Lora, Tuning

if TYPE_CHECKING:
    from typing import Unpack

    from ftsdk.contract.spec_document import SpecDocument
    from ftsdk.spec.fields import SpecFields

LABEL_MAX_LENGTH = 48
JOB_MODEL = re.compile(r"-[0-9a-f]{8}/model/?$")
"""End of the address of a model in its job's folder: the job's name says more than `model`."""
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE_NAME = re.compile(r"[A-Za-z_.][-A-Za-z0-9_.]*")
"""What Kubernetes takes, but for a hyphen at the beginning."""
NO_ROWS = Dataset.model_construct(train=())
"""The dataset of a job whose program reads none."""


class NormalizedSpec(dict[str, object]):
    """A spec's data after `loading.normalized`: every name in its place, no short forms. JobSpec takes it as it is."""


class JobSpec(Part):
    """A fine-tuning: model, method, data, hyperparameters and hardware.

    Fields may be given in the short forms of YAML, e.g. `JobSpec(model="a/b", dataset="rows.jsonl", tuning="lora")`.
    """

    if TYPE_CHECKING:  # for type checkers and editors; pydantic makes the real one

        def __init__(self, **fields: Unpack[SpecFields]) -> None: ...

    name: str = ""
    """Label of the job; made from the model and the method if left out."""
    model: str = Field(min_length=1)
    """Base model: a hub id, `modelscope:ID`, a folder, `s3://…`, `oss://…`, or a finished job's model URI."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    method: Method = Method()
    """What the training optimises, e.g. `sft` or `{stage: dpo, beta: 0.1}`."""
    tuning: Tuning = Lora()
    """Which weights change, e.g. `lora` or `{type: lora, rank: 16}`."""
    engine: EngineName = "auto"
    """Trainer that trains it; `auto` takes the first that can, see `ftsdk methods`."""
    dataset: Dataset
    """What the model learns from; with another `program` than `train`, the rows that it reads."""
    hyperparameters: Hyperparameters = Hyperparameters()
    """How it learns."""
    resources: Resources = Resources()
    """What it runs on."""
    sharding: Sharding = Sharding()
    """How the training's state is spread over the accelerators."""
    checkpoint: Checkpoint = Checkpoint()
    """How often the state is made safe."""
    retry: Retry = Retry()
    """What is started again, and how often; `retry: 3` is short for `{retries: 3}`."""
    budget: Budget = Budget()
    """What it may take at most."""
    tracking: Tracking = Tracking()
    """Where metrics go."""
    secrets: tuple[str, ...] = Field(default=(), strict=False)
    """Names of environment variables whose values the job needs, e.g. HF_TOKEN; values are never written here."""
    env: dict[str, str] = Field(default={})
    """Environment variables of the trainer that are no secrets."""
    output: str | None = None
    """Folder or address under which the job keeps its results; the backend's own place if left out."""
    timeout_hours: float | None = Field(default=None, gt=0)
    """Stop the job, with a checkpoint, after this many hours."""
    hang_minutes: float | None = Field(default=1, gt=0)
    """Minutes without progress after which a training step counts as hung, or three times the slowest steps if that is
    more; other phases have multiples of it (docs/hangs.md). `null` looks for no hangs."""
    verdict: bool = True
    """Whether a training with held-out rows measures its model before and after it, and says what it did to it."""
    program: Program = Train()
    """What the job does: `train`, or a program for a model that exists, e.g. `merge` or `{type: merge, dtype: …}`."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        full = value if isinstance(value, NormalizedSpec) else with_full_forms(value)
        return full if "dataset" in full or needs_rows(full.get("program", "train")) else {**full, "dataset": NO_ROWS}

    @model_validator(mode="after")
    def _fill_label(self) -> JobSpec:
        path = PurePosixPath(self.model)
        model = path.parent.name if JOB_MODEL.search(self.model) else path.name
        label = clean_label(self.name or f"{model}-{self._verb}")
        object.__setattr__(self, "name", label)
        return self

    @model_validator(mode="after")
    def _one_save_cadence(self) -> JobSpec:
        save_steps, checkpoint = self.hyperparameters.save_steps, self.checkpoint
        other = checkpoint.auto or checkpoint.every_minutes or checkpoint.every_steps
        if save_steps is not None and other and save_steps != checkpoint.every_steps:
            raise ValueError("hyperparameters.save_steps and checkpoint say different things; keep one of them")
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """A training is written as before there were other programs and engines: its digest stays the same."""
        data: dict[str, object] = serialize(self)
        if self.engine == "auto":
            data.pop("engine", None)
        if isinstance(self.program, Train):
            data.pop("program", None)
        if not self.dataset.train:
            data.pop("dataset", None)
        if self.verdict:
            data.pop("verdict", None)
        return data

    def to_json(self) -> SpecDocument:
        """JSON data, defaults included; `JobSpec.model_validate` reads it."""
        return cast("SpecDocument", self.model_dump(mode="json"))

    @property
    def rows_method(self) -> str:
        """The method whose rows `dataset` holds: prompts for the program `generate`, as for `grpo`."""
        return "grpo" if isinstance(self.program, Generate) else self.method.stage

    @property
    def _verb(self) -> str:
        return self.method.stage if isinstance(self.program, Train) else self.program.type

    @field_validator("secrets")
    @classmethod
    def _names_only(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _SECRET_NAME.fullmatch(name):
                raise ValueError("give the names of environment variables, never their values")
        return names

    @field_validator("env")
    @classmethod
    def _names_and_texts(cls, variables: dict[str, str]) -> dict[str, str]:
        for name, value in variables.items():
            if not _VARIABLE_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a variable: use letters, digits, '_', '.' and '-'")
            if "\0" in value:
                raise ValueError(f"the value of {name} has a NUL character, which no environment can hold")
        return variables


def clean_label(text: str) -> str:
    """A label that every platform accepts: lower-case letters, digits and single hyphens."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LABEL_MAX_LENGTH].strip("-")
    return label or "job"


def with_full_forms(data: Mapping[str, object]) -> dict[str, object]:
    """Replace the short forms of YAML: a bare method, tuning, program, dataset path …"""
    full = dict(data)
    for field, key in (("method", "stage"), ("sharding", "type"), ("tuning", "type"), ("program", "type")):
        if isinstance(full.get(field), str):
            full[field] = {key: full[field]}
    name_tuning(full)
    if isinstance(full.get("retry"), int):
        full["retry"] = {"retries": full["retry"]}
    if isinstance(dataset := full.get("dataset"), str | PurePath | list | tuple):
        full["dataset"] = {"train": dataset}
    if isinstance(dataset := full.get("dataset"), dict):
        full["dataset"] = {k: _addresses(v) if k in ("train", "eval") else v for k, v in dataset.items()}
    return full


def name_tuning(full: dict[str, object]) -> None:
    """A tuning that does not say what it is, such as `{rank: 16}`, is LoRA."""
    if isinstance(tuning := full.get("tuning"), dict) and "type" not in tuning:
        full["tuning"] = {"type": "lora", **tuning}


def _addresses(value: object) -> object:
    """A path or a list of paths as a tuple of texts; anything else is left for the validation to refuse."""
    if isinstance(value, str | PurePath):
        return (str(value),)
    return tuple(str(v) if isinstance(v, PurePath) else v for v in value) if isinstance(value, list | tuple) else value
