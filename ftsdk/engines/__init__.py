"""The registry of engines: spec, facts and layout -> the configuration of the program that trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from ftsdk.engines import base_model, modules, training_arguments
from ftsdk.errors import UnsupportedError
from ftsdk.spec.program import Train

if TYPE_CHECKING:
    from ftsdk.engines.base import Engine, Layout, Rendered
    from ftsdk.facts import Facts
    from ftsdk.spec import JobSpec

ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "llamafactory": "ftsdk.engines.llamafactory.render",
        "trl": "ftsdk.engines.trl.render",
    }
)
"""Name -> module of every engine, in order of preference. A module is imported when it is first used."""

PROGRAMS = "ftsdk.engines.programs.render"
"""Renders every program but `train`; it is no engine, as it trains no method."""


def get(name: str) -> Engine:
    """The engine of this name; KeyError if there is none."""
    return cast("Engine", import_module(ENGINES[name]))


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """Render the spec with the first engine that trains its method, or with the programs' own.

    Raises SpecError, DataError and UnsupportedError.
    """
    if not isinstance(spec.program, Train):
        return cast("Engine", import_module(PROGRAMS)).render(spec, facts, layout)
    training_arguments.refuse(spec)
    base_model.refuse(spec, facts)
    spec = modules.resolved(spec, facts)
    for engine in map(get, ENGINES):
        if spec.method.stage in engine.STAGES:
            rendered = engine.render(spec, facts, layout)
            notes = (*training_arguments.notes(spec), *base_model.notes(spec, facts))
            return replace(rendered, warnings=(*rendered.warnings, *notes))
    raise UnsupportedError(f"method {spec.method.stage}: no engine trains it; the engines are {', '.join(ENGINES)}.")
