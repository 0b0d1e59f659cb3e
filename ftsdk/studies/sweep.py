"""Sweep: one training with many values of its fields, each combination a job. A value; `plan` creates nothing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import Field

from ftsdk.contract.spec_document import SpecDocument
from ftsdk.errors import FtsdkError, SpecError
from ftsdk.estimator import Estimator
from ftsdk.facts import Facts
from ftsdk.plan import Plan
from ftsdk.spec import JobSpec
from ftsdk.spec.base import Part
from ftsdk.spec.job import clean_label
from ftsdk.studies import document, space
from ftsdk.studies.changes import limited, spec_with
from ftsdk.studies.document import CHECKS, CheckSettings, SearchDocument, StudyDocument, StudyRecord
from ftsdk.studies.search.optimizer import Optimizer, Pruner, Sampler, SearchSettings
from ftsdk.studies.space import Changes, Grid, Ranges
from ftsdk.studies.study import Study

LOWER_IS_BETTER = ("loss", "perplexity")
"""Words in the names of metrics whose smallest value is best."""


SETTINGS = {"search", "trials", "pruner", "seeds", "metric", "goal", "parallel", "max_cost_usd", "max_hours"}
"""Fields that do not change the jobs; a study of a name has one value of each."""


class Sweep(Part):
    """Values to try in a training: all combinations of a grid, or some at random.

        study = Sweep(grid={"learning_rate": [1e-5, 1e-4], "tuning.rank": [8, 32]}, parallel=2).fit(estimator)
        print(study.best())

    `fit` raises SpecError for an empty or infinite space and for a metric that the training does not report,
    UnsupportedError where a limit is too small for one job.
    """

    name: str = ""
    """Name of the study; made from the spec's label and the jobs if left out."""
    grid: Grid = Field(default={})
    """Key of the spec, such as `learning_rate` or `tuning.rank` -> its values."""
    ranges: Ranges = Field(default={})
    """Key of the spec -> the range that `random` draws from."""
    random: int | None = Field(default=None, ge=1)
    """Number of combinations that are drawn; all of the grid if left out."""
    search: Sampler | None = None
    """Let Optuna choose each job after what the earlier ones have reached: `tpe`, or at `random`."""
    trials: int | None = Field(default=None, ge=1)
    """Jobs of a search."""
    pruner: Pruner | None = None
    """Stop jobs of a search that are behind others, with a checkpoint: `asha`, `hyperband` or `median`."""
    seeds: int = Field(default=1, ge=1)
    """Run each combination so often, with seeds of its own; values are then ranked by their mean."""
    seed: int = 0
    """The same seed draws the same combinations."""
    parallel: int = Field(default=1, ge=1)
    """Jobs that run at once."""
    metric: str = "eval_loss"
    """Metric of the trainer by which the jobs are ranked; its last value counts."""
    goal: Literal["min", "max"] | None = None
    """Whether a small or a large value is best; left out: small for a loss or a perplexity, else large."""
    max_cost_usd: float | None = Field(default=None, gt=0)
    """US dollars that all jobs together may cost; also the limit of each."""
    max_hours: float | None = Field(default=None, gt=0)
    """Hours of running of all jobs together; also the limit of each."""

    def plan(self, estimator: Estimator) -> SweepPlan:
        """Plan every job. Creates nothing; raises SpecError with the job that is wrong."""
        settings = self._search()
        drawn = [Optimizer(settings).ask()] if settings else list(self._combinations())
        _check_metric(self.metric, estimator.spec)
        trials: dict[str, PlannedTrial] = {}
        for changes in drawn:
            trial = self._planned(estimator, len(trials) + 1, changes)
            trials.setdefault(trial.plan.uri, trial)
        return SweepPlan(sweep=self, base=estimator.spec, trials=tuple(trials.values()), search=settings)

    def fit(
        self, estimator: Estimator, *, wait: bool = True, size_check: bool = True, data_check: bool = True,
        copy: bool = False, on_event: Callable[[str], None] = print,
    ) -> Study:  # fmt: skip
        """Plan and check every job, write the study, and run it; the same sweep goes on with the study that exists.

        Args:
            wait: run until every job has ended; False starts the first `parallel` ones and returns.
            size_check: refuse a job that cannot fit into memory or into the limits.
            data_check: refuse data with errors.
            copy: copy models and data from another cloud.
            on_event: called with a sentence for each change.
        """
        planned = self.plan(estimator)
        checks: CheckSettings = {"size_check": size_check, "data_check": data_check, "copy": copy}
        planned.check(**checks)
        study = planned.create(checks)
        study.wait(once=not wait, on_event=on_event)
        return study

    def _combinations(self) -> Iterator[dict[str, object]]:
        """The values of each job; with `seeds`, each combination once for each seed."""
        drawn = list(space.combinations(self.grid, self.ranges, count=self.random, seed=self.seed))
        if self.seeds == 1:
            return iter(drawn)
        if space.SEED in (*self.grid, *self.ranges):
            raise SpecError("Both seeds and the values have the seed: keep one of them.")
        if len(drawn) * self.seeds > space.MAX_JOBS:
            raise SpecError(
                f"{len(drawn)} combinations, {self.seeds} seeds: a sweep has at most {space.MAX_JOBS} jobs."
            )
        return ({**chosen, space.SEED: self.seed + number} for chosen in drawn for number in range(self.seeds))

    def _search(self) -> SearchSettings | None:
        """How Optuna chooses; None where it does not. Raises SpecError for settings that contradict each other."""
        if self.search is None:
            if wrong := next((name for name in ("trials", "pruner") if getattr(self, name) is not None), None):
                raise SpecError(f"{wrong} is of a search: say --search tpe, or leave it out.")
            return None
        if self.random is not None or self.seeds > 1:
            raise SpecError("A search chooses one job after another: leave random and seeds out, and say --trials N.")
        space.check(self.grid, self.ranges, self.trials or 1)
        if self.trials is None:
            raise SpecError("A search has no end of its own: say how many jobs with --trials N.")
        for key, values in self.grid.items():
            if not all(isinstance(value, str | int | float | bool | None) for value in values):
                raise SpecError(f"{key}: a search chooses among numbers, texts, true and false; got {values}.")
        return {
            "sampler": self.search,
            "pruner": self.pruner,
            "seed": self.seed,
            "goal": self.goal_or_default,
            "grid": {key: list(values) for key, values in self.grid.items()},
            "ranges": {key: bounds.model_dump() for key, bounds in self.ranges.items()},
        }

    @property
    def goal_or_default(self) -> Literal["min", "max"]:
        """Whether a small or a large value is best."""
        lower = any(word in self.metric for word in LOWER_IS_BETTER)
        return self.goal or ("min" if lower else "max")

    def _planned(self, estimator: Estimator, number: int, changes: Changes) -> PlannedTrial:
        try:
            spec = spec_with(estimator.spec, changes)
            spec = limited(spec, max_cost_usd=self.max_cost_usd, max_hours=self.max_hours)
            changed = Estimator(spec, backend=estimator.backend, folder=estimator.folder)
            facts = changed.inspect()
            plan = changed.plan(facts)
            return PlannedTrial(number=number, changes=changes, estimator=changed, facts=facts, plan=plan)
        except FtsdkError as problem:
            raise type(problem)(f"Job {number} ({space.as_words(changes)}): {problem}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """One job of a sweep before it is started."""

    number: int
    """1-based."""
    changes: Changes
    estimator: Estimator
    facts: Facts
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """All jobs of a sweep, with what they take together."""

    sweep: Sweep
    base: JobSpec
    """The spec whose values change."""
    trials: tuple[PlannedTrial, ...]
    """The jobs; of a search the first one, after which the others are chosen."""
    search: SearchSettings | None = None

    @property
    def count(self) -> int:
        """Number of jobs."""
        return self.sweep.trials or 1 if self.search else len(self.trials)

    @property
    def digest(self) -> str:
        """SHA-256 over the jobs and the settings of the sweep (hexadecimal)."""
        settings = self.sweep.model_dump(mode="json", include=SETTINGS, exclude_defaults=True)
        uris = sorted(trial.plan.uri for trial in self.trials)
        return hashlib.sha256(json.dumps([uris, settings, self.search], sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Name of the study."""
        return clean_label(self.sweep.name) if self.sweep.name else f"{self.base.name}-sweep-{self.digest[:8]}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of all jobs, each once."""
        return tuple(dict.fromkeys(sentence for trial in self.trials for sentence in trial.plan.warnings))

    def hours(self, which: Literal["hours", "hours_low", "hours_high"] = "hours") -> float | None:
        """Hours of training of all jobs together, estimated; None if one is not known.

        The jobs of a search are taken to be as long as the first one.
        """
        hours = [getattr(trial.plan.estimate, which) for trial in self.trials]
        return None if None in hours else sum(hours) * self.count / len(hours)

    def cost_usd(self, which: Literal["hours", "hours_low", "hours_high"] = "hours") -> float | None:
        """US dollars of all jobs together, estimated; None if a time or a price is not known."""
        costs = [_product(getattr(t.plan.estimate, which), t.plan.usd_per_hour) for t in self.trials]
        known = [cost for cost in costs if cost is not None]
        return sum(known) * self.count / len(known) if len(known) == len(costs) else None

    def check(self, *, size_check: bool = True, data_check: bool = True, copy: bool = False) -> None:
        """Raise what a submit of each job would raise, before the first one starts."""
        for trial in self.trials:
            try:
                trial.estimator.check(trial.facts, trial.plan, size_check=size_check, data_check=data_check, copy=copy)
            except FtsdkError as problem:
                raise type(problem)(f"Job {trial.number} ({space.as_words(trial.changes)}): {problem}") from None

    def create(self, checks: CheckSettings = CHECKS) -> Study:
        """Write the study, or open the one of the same jobs, whose failed and cancelled jobs may then run again.

        `checks` are those of `check`, for the jobs of a search. Raises SpecError if another study has this name.
        """
        record = StudyRecord(self.name)
        plans = {} if self.search else {trial.number: trial.plan for trial in self.trials}
        if record.create(self._document(checks), plans):
            return Study(self.name)
        if record.document["digest"] != self.digest:
            raise SpecError(f"A study named {self.name} exists with other jobs or settings: choose another --name.")
        study = Study(self.name)
        study.resume()
        return study

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return {
            "name": self.name,
            "count": self.count,
            "jobs": [
                {"number": t.number, "changes": dict(t.changes), "uri": t.plan.uri, "hours": t.plan.estimate.hours}
                for t in self.trials
            ],
            **{name: self.hours(name) for name in ("hours", "hours_low", "hours_high")},
            "cost_usd": self.cost_usd(),
            "cost_usd_low": self.cost_usd("hours_low"),
            "cost_usd_high": self.cost_usd("hours_high"),
        }

    def _document(self, checks: CheckSettings) -> StudyDocument:
        sweep = self.sweep
        described: StudyDocument = {
            "format": document.FORMAT,
            "name": self.name,
            "digest": self.digest,
            "created_at": time.time(),
            "metric": sweep.metric,
            "goal": sweep.goal_or_default,
            "parallel": sweep.parallel,
            "max_cost_usd": sweep.max_cost_usd,
            "max_hours": sweep.max_hours,
            "trials": [
                {"number": t.number, "changes": dict(t.changes), "uri": t.plan.uri, "hours": t.plan.estimate.hours,
                 "cost_usd": _product(t.plan.estimate.hours, t.plan.usd_per_hour)}
                for t in self.trials
            ],
        }  # fmt: skip
        if sweep.seeds > 1:
            described["seeds"] = sweep.seeds
        if self.search:
            described |= {"trials": [], "search": self._search_document(self.search, checks)}
        return described

    def _search_document(self, settings: SearchSettings, checks: CheckSettings) -> SearchDocument:
        estimator = self.trials[0].estimator
        spec = limited(self.base, max_cost_usd=self.sweep.max_cost_usd, max_hours=self.sweep.max_hours)
        return {
            "settings": settings,
            "trials": self.count,
            "spec": cast(SpecDocument, spec.model_dump(mode="json")),
            "backend": estimator.backend.name,
            "options": dict(self.trials[0].plan.options),
            "folder": str(estimator.folder.absolute()),
            "checks": checks,
        }


def _product(hours: float | None, usd_per_hour: float | None) -> float | None:
    return None if hours is None or usd_per_hour is None else hours * usd_per_hour


def _check_metric(metric: str, spec: JobSpec) -> None:
    """Raise SpecError for a metric of held-out rows where there are none."""
    data = spec.dataset
    if metric.startswith("eval_") and not (data.eval or data.eval_fraction or data.eval_rows):
        raise SpecError(
            f"The metric {metric} needs held-out rows and the spec has none: give dataset.eval, or hold rows out with "
            f"--set dataset.eval_fraction=0.1, or rank by another one with --metric loss."
        )
