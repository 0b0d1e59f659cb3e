"""Pipeline: jobs that need each other's results, as one document. A value; `plan` creates nothing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import Field

from ftsdk import backends
from ftsdk.contract.spec_document import SpecDocument
from ftsdk.errors import FtsdkError, SpecError
from ftsdk.estimator import Estimator
from ftsdk.models.pushing import check_target
from ftsdk.spec import JobSpec
from ftsdk.spec.base import Part
from ftsdk.spec.job import clean_label
from ftsdk.studies import document
from ftsdk.studies.changes import limited
from ftsdk.studies.document import CHECKS, CheckSettings, StepDocument, StudyDocument, TrialDocument
from ftsdk.studies.pipelines.early import EarlyPlan, early_plan
from ftsdk.studies.pipelines.expansion import ExpandedStep, expand
from ftsdk.studies.pipelines.step import SCHEME, Step, name_of, references, replaced
from ftsdk.studies.study import Study

Which = Literal["hours", "hours_low", "hours_high"]


class Pipeline(Part):
    """Steps that take each other's results: `step://NAME` in a spec is the model that the step NAME makes.

        sft = Step(name="sft", spec=JobSpec(model="Qwen/Qwen3-8B", dataset="train.jsonl"))
        dpo = Step(name="dpo", spec=JobSpec(model="step://sft", method="dpo", dataset="preferences.jsonl"))
        study = Pipeline(steps=[sft, dpo]).fit()

    `plan` and `fit` raise SpecError for a cycle, a name that no step has, and a condition that cannot be read.
    """

    name: str = "pipeline"
    """Label of the study, which has eight characters of a digest behind it."""
    steps: tuple[Step, ...] = Field(strict=False)
    """The steps, in any order."""
    backend: str = "local"
    """Where a step runs that names no backend itself."""
    parallel: int = Field(default=1, ge=1)
    """Jobs that run at once, where they do not need each other."""
    max_cost_usd: float | None = Field(default=None, gt=0)
    """US dollars that all jobs together may cost; also the limit of each."""
    max_hours: float | None = Field(default=None, gt=0)
    """Hours of running of all jobs together; also the limit of each."""

    def __init__(self, steps: Sequence[Step] | None = None, **fields: object) -> None:
        super().__init__(**({} if steps is None else {"steps": tuple(steps)}), **fields)

    def plan(
        self, *, folder: Path | str = ".", options: Mapping[str, object] | None = None, checks: CheckSettings = CHECKS
    ) -> PipelinePlan:
        """Plan every step as far as it can be before the first one runs. Creates nothing.

        Args:
            folder: relative paths are taken from here.
            options: options of the pipeline's backend.
            checks: what is refused before a job is started; the arguments of `Estimator.check`.
        """
        expanded = expand(self.steps)
        specs = {step.name: self._spec(step.spec, step) for step in expanded if step.spec}
        planned = []
        for number, step in enumerate(expanded, 1):
            try:
                planned.append(self._planned(number, step, specs, Path(folder).absolute(), options or {}))
            except FtsdkError as problem:
                raise type(problem)(f"Step {step.name}: {problem}") from None
        return PipelinePlan(pipeline=self, folder=Path(folder).absolute(), steps=tuple(planned), checks=checks)

    def fit(
        self, *, folder: Path | str = ".", options: Mapping[str, object] | None = None, wait: bool = True,
        checks: CheckSettings = CHECKS, on_event: Callable[[str], None] = print,
    ) -> Study:  # fmt: skip
        """Plan and check all steps, write the study and run it; the same again goes on at the first change.

        With `wait=False` what may start now is started, no more. `on_event` is called with a sentence for each change.
        """
        planned = self.plan(folder=folder, options=options, checks=checks)
        planned.check()
        study = planned.create()
        study.wait(once=not wait, on_event=on_event)
        return study

    def _spec(self, spec: JobSpec, step: ExpandedStep) -> JobSpec:
        """The spec with the names of expanded steps in its references; where it chooses one, the first of them."""
        results = {ref: _renamed(ref, step.inputs[name_of(ref)][0]) for ref in references(spec.model_dump())}
        renamed = JobSpec.model_validate(replaced(spec.model_dump(), results)) if results else spec
        return limited(renamed, max_cost_usd=self.max_cost_usd, max_hours=self.max_hours)

    def _planned(
        self, number: int, step: ExpandedStep, specs: Mapping[str, JobSpec], folder: Path, options: Mapping[str, object]
    ) -> PlannedStep:
        if step.step.push:
            check_target(step.step.push.to)
            return PlannedStep(number=number, step=step, backend="", options={}, early=None)
        name = step.step.backend or self.backend
        given = step.step.options or (options if name == self.backend else {})
        backend = backends.get(name, given)
        early = early_plan(specs[step.name], specs, Estimator(specs[step.name], backend=backend, folder=folder))
        settings = dict(early.plan.options if early else given)
        return PlannedStep(number=number, step=step, backend=name, options=settings, early=early)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step before it is started."""

    number: int
    """1-based."""
    step: ExpandedStep
    backend: str
    """Empty for a push."""
    options: dict[str, object]
    early: EarlyPlan | None
    """None for a push, and for a job whose rows are still to be made."""

    @property
    def uri(self) -> str:
        """The job's address; empty where it depends on what is still to be made."""
        return self.early.plan.uri if self.early and self.early.is_final else ""

    def cost_usd(self, which: Which = "hours") -> float | None:
        """US dollars, estimated; None if a time or a price is not known."""
        hours = self.hours(which)
        price = self.early.plan.usd_per_hour if self.early else 0.0
        return None if hours is None or price is None else hours * price

    def hours(self, which: Which = "hours") -> float | None:
        """Hours, estimated; None if they are not known."""
        if self.step.step.push:
            return 0.0
        return cast("float | None", getattr(self.early.plan.estimate, which)) if self.early else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePlan:
    """All steps of a pipeline, with what they take together."""

    pipeline: Pipeline
    folder: Path
    steps: tuple[PlannedStep, ...]
    checks: CheckSettings

    @property
    def digest(self) -> str:
        """SHA-256 over the steps, what they read, and the settings of the pipeline (hexadecimal)."""
        settings = self.pipeline.model_dump(mode="json", exclude={"name", "steps", "backend"})
        digests = [step.early.plan.digest if step.early else "" for step in self.steps]
        steps = [self._step(step) for step in self.steps]
        return hashlib.sha256(json.dumps([steps, digests, settings], sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Name of the study."""
        return f"{clean_label(self.pipeline.name)}-{self.digest[:8]}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of all plans, each once."""
        every = (sentence for step in self.steps if step.early for sentence in step.early.plan.warnings)
        return tuple(dict.fromkeys(every))

    def hours(self, which: Which = "hours") -> float | None:
        """Hours of all jobs together, estimated; None if one is not known."""
        return _sum(step.hours(which) for step in self.steps)

    def cost_usd(self, which: Which = "hours") -> float | None:
        """US dollars of all jobs together, estimated; None if one is not known."""
        return _sum(step.cost_usd(which) for step in self.steps)

    def check(self) -> None:
        """Raise what a submit of each step would raise, as far as that is known before the first one starts."""
        for step in self.steps:
            if step.early is None:
                continue
            try:
                step.early.estimator.check(step.early.facts, step.early.plan, **self.checks)
            except FtsdkError as problem:
                raise type(problem)(f"Step {step.step.name}: {problem}") from None

    def create(self) -> Study:
        """Write the study, or open the one of the same steps, of which those that have failed may then run again."""
        study = Study(self.name)
        plans = {step.number: step.early.plan for step in self.steps if step.early and step.uri}
        if not study.create(self._document(), plans):
            if study.document["digest"] != self.digest:
                raise SpecError(f"A study named {self.name} exists with other steps: give the pipeline another name.")
            study.resume()
        return study

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        steps = [
            {"number": s.number, "step": s.step.name, "needs": s.step.needs, "backend": s.backend, "uri": s.uri,
             "if": s.step.step.condition, "changes": dict(s.step.changes), "hours": s.hours(), "cost_usd": s.cost_usd()}
            for s in self.steps
        ]  # fmt: skip
        every: tuple[Which, ...] = ("hours", "hours_low", "hours_high")
        totals = {which.replace("hours", "cost_usd"): self.cost_usd(which) for which in every}
        return {"name": self.name, "steps": steps, **{which: self.hours(which) for which in every}, **totals}

    def _document(self) -> StudyDocument:
        return {
            "format": document.FORMAT,
            "name": self.name,
            "digest": self.digest,
            "created_at": time.time(),
            "metric": "",
            "goal": "min",
            "parallel": self.pipeline.parallel,
            "max_cost_usd": self.pipeline.max_cost_usd,
            "max_hours": self.pipeline.max_hours,
            "trials": [self._trial(step) for step in self.steps],
        }

    def _trial(self, step: PlannedStep) -> TrialDocument:
        return {
            "number": step.number,
            "changes": dict(step.step.changes),
            "uri": step.uri,
            "hours": step.hours(),
            "cost_usd": step.cost_usd(),
            "step": self._step(step),
        }

    def _step(self, planned: PlannedStep) -> StepDocument:
        expanded, step = planned.step, planned.step.step
        limits = self.pipeline
        spec = expanded.spec and limited(expanded.spec, max_cost_usd=limits.max_cost_usd, max_hours=limits.max_hours)
        push = step.push
        return {
            "name": expanded.name,
            "spec": cast(SpecDocument, spec.model_dump(mode="json")) if spec else None,
            "push": {"to": push.to, "model": push.model, "public": push.public, "overwrite": push.overwrite}
            if push
            else None,
            "backend": planned.backend,
            "options": planned.options,
            "folder": str(self.folder),
            "needs": list(expanded.needs),
            "inputs": {name: list(names) for name, names in expanded.inputs.items()},
            "condition": step.condition,
            "best": step.best,
            "goal": step.best_is,
            "checks": self.checks,
        }


def _renamed(reference: str, name: str) -> str:
    """The reference to another step's result."""
    _, mark, file = reference.removeprefix(SCHEME).partition("/")
    return f"{SCHEME}{name}{mark}{file}"


def _sum(values: Iterable[float | None]) -> float | None:
    every = list(values)
    known = [value for value in every if value is not None]
    return sum(known) if len(known) == len(every) else None
