"""Step: one job of a pipeline, or a push of what another step made. A value."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from ftsdk.spec import Evaluate, JobSpec, Train
from ftsdk.spec.base import Part
from ftsdk.studies.pipelines.expressions import Condition, Measure, measure_of
from ftsdk.studies.space import Grid

SCHEME: Final = "step://"
"""`step://NAME` is what the step NAME made: its model, or with `/FILE` behind it one of the files."""
LOWER_IS_BETTER: Final = ("loss", "perplexity")
"""Words in the names of metrics whose smallest value is best."""


class Push(Part):
    """Publish a step's model with its card, as `ftsdk push` does."""

    to: str = Field(min_length=1)
    """`hf:ORG/NAME`, an address such as `s3://bucket/folder`, or a folder."""
    model: str = Field(min_length=1)
    """`step://NAME`, or a finished job's URI."""
    public: bool = False
    """Create the hub's repository as a public one."""
    overwrite: bool = False
    """Replace files of the same names in a place that holds something else."""


class Step(Part):
    """One job of a pipeline: a spec in which `step://NAME` stands for what another step makes; or a push.

    Its job is started once the steps that it names have succeeded.
    """

    name: str
    """Letters, digits and underscores, as a variable of Python."""
    spec: JobSpec | None = None
    """What the job does: train, evaluate, merge, export, generate, or a Python file of yours."""
    push: Push | None = None
    """Publish a model instead of running a job."""
    needs: tuple[str, ...] = Field(default=(), strict=False)
    """Further steps that have to succeed before."""
    condition: str = ""
    """Run it only if this holds, e.g. `evaluate.exact_match > 0.8`; `if` in YAML."""
    foreach: Grid = Field(default={})
    """Key of the spec -> values: one job for each combination. Steps that take its result run once for each, too."""
    best: str = ""
    """`STEP.METRIC`: of several jobs that it could take, take the one with the best value."""
    goal: Literal["min", "max"] | None = None
    """Which value is best; left out: the smallest for a loss or a perplexity, else the largest."""
    backend: str = ""
    """Where it runs; the pipeline's if left out."""
    options: dict[str, object] = Field(default={})
    """Options of the backend."""

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
            raise ValueError(f"{name!r} is no name of a step: use letters, digits and underscores, such as sft_1")
        return name

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if (self.spec is None) == (self.push is None):
            raise ValueError("a step has either a spec or a push")
        if self.push and (self.foreach or self.backend or self.options):
            raise ValueError("a push runs on this machine, once: leave foreach, backend and options out")
        return self

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The metrics that its condition and its choice need. Raises SpecError for what cannot be read."""
        of_condition = Condition(self.condition).measures if self.condition else ()
        return (*of_condition, *((measure_of(self.best),) if self.best else ()))

    @property
    def best_is(self) -> Literal["min", "max"]:
        """Which value of `best` is chosen."""
        lower = any(word in self.best for word in LOWER_IS_BETTER)
        return self.goal or ("min" if lower else "max")

    @property
    def results_used(self) -> tuple[str, ...]:
        """Names of the steps whose results it takes, by `step://` or in a condition."""
        values = self.spec.model_dump() if self.spec else self.push.model if self.push else ""
        named = (*map(name_of, references(values)), *(measure.step for measure in self.measures))
        return tuple(dict.fromkeys(named))

    def reports(self, metric: str) -> bool:
        """Whether its job can have a value of this metric."""
        if self.spec is None:
            return False
        if isinstance(self.spec.program, Evaluate):
            return metric in (self.spec.program.metrics or ("loss", "perplexity", "preference_accuracy", "margin"))
        data = self.spec.dataset
        held_out = data.eval or data.eval_fraction or data.eval_rows
        return not (isinstance(self.spec.program, Train) and metric.startswith("eval_") and not held_out)


def references(value: object) -> Iterator[str]:
    """Every `step://…` in a value of JSON's kinds."""
    if isinstance(value, str):
        if value.startswith(SCHEME):
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def name_of(reference: str) -> str:
    """The step of `step://NAME` or `step://NAME/FILE`."""
    return reference.removeprefix(SCHEME).partition("/")[0]


def replaced(value: object, results: dict[str, str]) -> object:
    """The value with every reference of `results` in place of it; others stay."""
    if isinstance(value, str):
        return results.get(value, value)
    if isinstance(value, dict):
        return {key: replaced(item, results) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, results) for item in value)
    return value
