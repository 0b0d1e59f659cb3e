"""Whether a step of a pipeline may start, by what the steps that it needs have come to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from ftsdk.studies.document import StepDocument
from ftsdk.studies.pipelines.expressions import Condition, Measure, measure_of

Outcome = Literal["open", "succeeded", "failed", "skipped"]
"""What a step has come to; `open` before its end."""
Values = Mapping[str, Mapping[str, float]]
"""Name of a step that has succeeded -> its metrics."""


class Readiness(NamedTuple):
    """Whether a step may start."""

    state: Literal["ready", "waits", "skipped"]
    why: str = ""


READY = Readiness("ready")


def readiness(step: StepDocument, outcomes: Mapping[str, Outcome], values: Values) -> Readiness:
    """Whether a step may start. `values` has the metrics of every step that the condition or the choice names."""
    if waits := [name for name in step["needs"] if outcomes[name] == "open"]:
        return Readiness("waits", f"waits for {', '.join(waits)}")
    for name in step["needs"]:
        if outcomes[name] != "succeeded" and not _is_candidate(step, name):
            why = "failed" if outcomes[name] == "failed" else "was skipped"
            return Readiness("skipped", f"{name} {why}")
    if step["best"] and chosen(step, values) is None:
        return Readiness("skipped", f"no job has succeeded and reported {step['best']}")
    return _by_condition(step, values)


def chosen(step: StepDocument, values: Values) -> int | None:
    """Index of the input with the best value; None if there is none."""
    measure = measure_of(step["best"])
    candidates = [values.get(name, {}).get(measure.metric) for name in step["inputs"][measure.step]]
    known = [(value, -index) for index, value in enumerate(candidates) if value is not None]
    if not known:
        return None
    best = max(known) if step["goal"] == "max" else min(known, key=lambda item: (item[0], -item[1]))
    return -best[1]


def input_of(step: StepDocument, name: str, values: Values) -> str:
    """The step that a name in a reference or a condition stands for."""
    inputs = step["inputs"][name]
    index = chosen(step, values) if len(inputs) > 1 else 0
    return inputs[index or 0]


def _is_candidate(step: StepDocument, name: str) -> bool:
    """Whether it is one of several to choose from, of which some may fail."""
    return bool(step["best"]) and any(len(names) > 1 and name in names for names in step["inputs"].values())


def _by_condition(step: StepDocument, values: Values) -> Readiness:
    if not step["condition"]:
        return READY
    condition = Condition(step["condition"])
    measured: dict[Measure, float] = {}
    for measure in condition.measures:
        name = input_of(step, measure.step, values)
        if (value := values.get(name, {}).get(measure.metric)) is None:
            return Readiness("skipped", f"{name} has reported no {measure.metric}")
        measured[measure] = value
    if condition.holds(measured):
        return READY
    shown = ", ".join(f"{measure} is {value:.4g}" for measure, value in measured.items())
    return Readiness("skipped", f"not {condition.text}: {shown}")
