"""Planning a step before the steps that it needs have run, with the models that theirs begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ftsdk.estimator import Estimator
from ftsdk.facts import Facts, ModelFacts
from ftsdk.plan import Plan
from ftsdk.spec import JobSpec, Lora, Oft, Train
from ftsdk.spec.base import plain
from ftsdk.spec.loading import parse
from ftsdk.spec.program import Merge
from ftsdk.studies.pipelines.step import SCHEME, name_of, references, replaced

LATER = "planned once its rows exist"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyPlan:
    """A step's plan as far as it can be made now."""

    estimator: Estimator
    facts: Facts
    plan: Plan
    is_final: bool
    """Whether it is what will be submitted: nothing in it is still to be made."""


def early_plan(spec: JobSpec, specs: Mapping[str, JobSpec], estimator: Estimator) -> EarlyPlan | None:
    """Plan a step; `specs` are those of the pipeline's jobs by their names.

    A model that is still to be made is taken to be as large as the one it is made from. None where rows are still to be
    made: there is nothing to look at yet. Raises what a plan raises.
    """
    used = tuple(references(spec.model_dump()))
    if not used:
        facts = estimator.inspect()
        return EarlyPlan(estimator=estimator, facts=facts, plan=estimator.plan(facts), is_final=True)
    roots = {reference: _root(reference, specs) for reference in used}
    if any(root is None or "/" in reference.removeprefix(SCHEME) for reference, root in roots.items()):
        return None
    known = {reference: root for reference, root in roots.items() if root is not None}
    stand_in = Estimator(with_results(spec, known), backend=estimator.backend, folder=estimator.folder)
    facts = _with_adapters(stand_in.inspect(), spec, specs)
    return EarlyPlan(estimator=stand_in, facts=facts, plan=stand_in.plan(facts), is_final=False)


def with_results(spec: JobSpec, results: dict[str, str]) -> JobSpec:
    """The spec with addresses in place of references."""
    return parse(plain(replaced(spec.model_dump(), results)), where="step")


def _root(reference: str, specs: Mapping[str, JobSpec]) -> str | None:
    """The model that a step's model is made from; None where it is not made from one."""
    made_by = specs[name_of(reference)]
    if made_by.program.type not in ("train", "merge"):
        return None
    return _root(made_by.model, specs) if made_by.model.startswith(SCHEME) else made_by.model


def _makes_adapter(spec: JobSpec, specs: Mapping[str, JobSpec]) -> bool:
    if isinstance(spec.program, Merge):
        return False
    return isinstance(spec.program, Train) and isinstance(spec.tuning, Lora | Oft)


def _with_adapters(facts: Facts, spec: JobSpec, specs: Mapping[str, JobSpec]) -> Facts:
    against = getattr(spec.program, "against", None)
    return replace(
        facts,
        model=_as_made(facts.model, spec.model, specs),
        reward_model=facts.reward_model and _as_made(facts.reward_model, spec.method.reward_model, specs),
        against=facts.against and _as_made(facts.against, against, specs),
    )


def _as_made(model: ModelFacts, address: str | None, specs: Mapping[str, JobSpec]) -> ModelFacts:
    """The facts of the base as those of an adapter on it, where the step makes one."""
    if address is None or not address.startswith(SCHEME):
        return model
    return (
        replace(model, address=f"step:{name_of(address)}") if _makes_adapter(specs[name_of(address)], specs) else model
    )
