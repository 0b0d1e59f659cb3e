"""The steps of a pipeline in an order in which they can run, each value of a `foreach` a step of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ftsdk.errors import FtsdkError, SpecError, did_you_mean
from ftsdk.spec import JobSpec
from ftsdk.studies import space
from ftsdk.studies.changes import spec_with
from ftsdk.studies.pipelines.expressions import measure_of
from ftsdk.studies.pipelines.step import Step
from ftsdk.studies.space import Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedStep:
    """A step that runs once."""

    name: str
    """The step's name; of several by `foreach` with a number behind it, as `sft_2`."""
    step: Step
    spec: JobSpec | None
    changes: Changes
    needs: tuple[str, ...]
    """Names of expanded steps."""
    inputs: Mapping[str, tuple[str, ...]]
    """Name of a step as written -> the expanded steps it stands for; several are a choice by `best`."""


def expand(steps: Sequence[Step]) -> tuple[ExpandedStep, ...]:
    """All steps, those that are needed first. Raises SpecError for names that are wrong, and for a cycle."""
    named = _by_name(steps)
    expanded: dict[str, tuple[ExpandedStep, ...]] = {}
    for name in _order(named):
        try:
            expanded[name] = tuple(_expanded(named[name], expanded))
        except FtsdkError as problem:
            raise type(problem)(f"step {name}: {problem}") from None
    every = tuple(one for several in expanded.values() for one in several)
    if len(every) > space.MAX_JOBS:
        raise SpecError(f"The pipeline has {len(every)} steps and a pipeline has at most {space.MAX_JOBS}.")
    if double := _first_double(one.name for one in every):
        raise SpecError(f"Two steps are named {double}: give one of them another name.")
    return every


def _by_name(steps: Sequence[Step]) -> dict[str, Step]:
    if not steps:
        raise SpecError("The pipeline is empty: it needs at least one step.")
    if double := _first_double(step.name for step in steps):
        raise SpecError(f"Two steps are named {double}: give one of them another name.")
    named = {step.name: step for step in steps}
    for step in steps:
        for other in (*step.needs, *step.results_used):
            if other not in named:
                raise SpecError(f"step {step.name}: there is no step {other!r}{did_you_mean(other, named)}.")
        for measure in step.measures:
            if not named[measure.step].reports(measure.metric):
                advice = _advice(measure.metric)
                raise SpecError(f"step {step.name}: {measure.step} reports no {measure.metric}{advice}.")
    return named


def _advice(metric: str) -> str:
    of_training = metric.startswith("eval_")
    return ", as it has no held-out rows: give dataset.eval" if of_training else ": name it in its program.metrics"


def _order(named: Mapping[str, Step]) -> list[str]:
    sorter = TopologicalSorter({name: (*step.needs, *step.results_used) for name, step in named.items()})
    try:
        return list(sorter.static_order())
    except CycleError as problem:
        circle = " needs ".join(reversed(problem.args[1]))
        raise SpecError(f"The steps need each other in a circle: {circle}.") from None


def _expanded(step: Step, before: Mapping[str, tuple[ExpandedStep, ...]]) -> Iterator[ExpandedStep]:
    several = {name: before[name] for name in step.results_used if len(before[name]) > 1}
    used = {name: tuple(one.name for one in before[name]) for name in step.results_used}
    needs = tuple(one.name for name in step.needs for one in before[name])
    if step.best or not several:
        _check_choice(step, several)
        yield from _combinations(step, needs, used)
        return
    if step.foreach or len({len(ones) for ones in several.values()}) > 1:
        names = " and ".join(several)
        raise SpecError(f"{names} has several jobs of its own: choose one by best, or leave foreach out here.")
    for index in range(len(next(iter(several.values())))):
        inputs = {name: (ones[index] if name in several else ones[0],) for name, ones in used.items()}
        changes = {key: value for ones in several.values() for key, value in ones[index].changes.items()}
        yield _one(step, f"{step.name}_{index + 1}", step.spec, changes, needs, inputs)


def _check_choice(step: Step, several: Mapping[str, tuple[ExpandedStep, ...]]) -> None:
    if step.best and measure_of(step.best).step not in several:
        raise SpecError(f"best: {measure_of(step.best).step} is one job, and there is nothing to choose.")
    if step.best and step.foreach:
        raise SpecError("best and foreach do not go together: choose in a step before it.")
    if len({len(ones) for ones in several.values()}) > 1:
        raise SpecError(f"{' and '.join(several)} have different numbers of jobs: choose among those of one foreach.")


def _combinations(step: Step, needs: tuple[str, ...], used: Mapping[str, tuple[str, ...]]) -> Iterator[ExpandedStep]:
    if not step.foreach:
        yield _one(step, step.name, step.spec, {}, needs, used)
        return
    assert step.spec is not None  # a push has no foreach
    for number, changes in enumerate(space.combinations(step.foreach, {}), 1):
        yield _one(step, f"{step.name}_{number}", spec_with(step.spec, changes), changes, needs, used)


def _one(
    step: Step, name: str, spec: JobSpec | None, changes: Changes, needs: tuple[str, ...],
    inputs: Mapping[str, tuple[str, ...]],
) -> ExpandedStep:  # fmt: skip
    every = (*needs, *(one for ones in inputs.values() for one in ones))
    return ExpandedStep(
        name=name, step=step, spec=spec, changes=changes, needs=tuple(dict.fromkeys(every)), inputs=inputs
    )


def _first_double(names: Iterable[str]) -> str | None:
    known = set[str]()
    for name in names:
        if name in known:
            return name
        known.add(name)
    return None
