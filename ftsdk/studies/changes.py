"""A spec with other values in some of its fields. Pure."""

from __future__ import annotations

import json

from ftsdk.recipes.specfile import apply_changes
from ftsdk.spec import JobSpec
from ftsdk.spec.job import NormalizedSpec
from ftsdk.spec.loading import parse
from ftsdk.studies.space import Changes


def spec_with(base: JobSpec, changes: Changes) -> JobSpec:
    """The spec with changes by the keys of `--set`. Raises SpecError for a key or a value that is wrong."""
    settings = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    return parse(apply_changes(NormalizedSpec(base.model_dump()), settings)[0], where="sweep")


def limited(spec: JobSpec, *, max_cost_usd: float | None, max_hours: float | None) -> JobSpec:
    """The spec whose own budget is at most what a whole study may take."""
    limits = {
        name: min(limit, getattr(spec.budget, name) or limit)
        for name, limit in (("max_cost_usd", max_cost_usd), ("max_hours", max_hours))
        if limit is not None
    }
    return spec.model_copy(update={"budget": spec.budget.model_copy(update=limits)}) if limits else spec
