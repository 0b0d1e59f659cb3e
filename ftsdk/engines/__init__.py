"""Spec -> the trainer's own configuration. Pure: an engine sees the spec, the facts and where things will lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftsdk.engines.base import Layout, Rendered

if TYPE_CHECKING:
    from ftsdk.facts import Facts
    from ftsdk.spec import JobSpec

LLAMAFACTORY_STAGES = frozenset({"pt", "sft", "rm", "dpo", "ipo", "kto", "orpo", "simpo"})


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """The trainer and its configuration. Raises SpecError and UnsupportedError."""
    if spec.method.stage in LLAMAFACTORY_STAGES:
        from ftsdk.engines.llamafactory import render as engine
    else:
        from ftsdk.engines.trl import render as engine  # type: ignore[no-redef]
    return engine.render(spec, facts, layout)
