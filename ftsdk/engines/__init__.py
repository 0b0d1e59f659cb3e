"""The registry of engines: spec, facts and layout -> the configuration of the program that trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from ftsdk.engines import base_model, modules, training_arguments
from ftsdk.engines.capabilities import MODALITIES, nearest
from ftsdk.engines.capabilities import Capability as Capability
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


def capabilities() -> tuple[Capability, ...]:
    """What every engine trains, in the order in which `engine: auto` asks them."""
    return tuple(row for name in ENGINES for row in get(name).CAPABILITIES)


def chosen(spec: JobSpec) -> Engine:
    """The engine that the spec names, else the first that trains its method with its tuning.

    Raises UnsupportedError, with what can be done instead, if it cannot.
    """
    method, tuning, sharding = spec.method.stage, spec.tuning.type, spec.sharding.type
    fitting = [row for row in capabilities() if (row.method, row.tuning) == (method, tuning)]
    if not fitting:
        raise UnsupportedError(
            f"tuning {tuning} cannot be used with {method}: {nearest(method, tuning, capabilities())}."
        )
    engines = dict.fromkeys(row.engine for row in fitting if spec.engine in ("auto", row.engine))
    if not engines:
        able = " or ".join(dict.fromkeys(row.engine for row in fitting))
        raise UnsupportedError(
            f"engine {spec.engine} does not train {method} with {tuning}: use {able}, or leave it out."
        )
    if not any(sharding in row.sharding and row.engine in engines for row in fitting):
        others = (row.method for row in capabilities() if row.engine in engines and sharding in row.sharding)
        raise UnsupportedError(
            f"sharding {sharding} cannot be used with {method}: use {', '.join(fitting[0].sharding)}, or one of the "
            f"methods {', '.join(dict.fromkeys(others))}."
        )
    return get(next(iter(engines)))


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """Render the spec with the engine that trains it, or with the programs' own.

    Raises SpecError, DataError and UnsupportedError.
    """
    if not isinstance(spec.program, Train):
        return cast("Engine", import_module(PROGRAMS)).render(spec, facts, layout)
    engine = chosen(spec)
    training_arguments.refuse(spec)
    base_model.refuse(spec, facts)
    spec = modules.resolved(spec, facts)
    rendered = engine.render(spec, facts, layout)
    notes = (*training_arguments.notes(spec), *base_model.notes(spec, facts), *_untried(spec, facts, engine))
    return replace(rendered, warnings=(*rendered.warnings, *notes))


def _untried(spec: JobSpec, facts: Facts, engine: Engine) -> Iterator[str]:
    """A sentence for a combination that no test of ours trains."""
    contents = {kind for source in facts.train for kind in source.contents}
    modality = next((kind for kind in MODALITIES if kind in contents and kind != "text"), "text")
    key = (spec.method.stage, spec.tuning.type, modality)
    ran = {row.ran for row in engine.CAPABILITIES if (row.method, row.tuning, row.modality) == key}
    if ran <= {"rendered only"}:
        yield f"{key[0]} with {key[1]} on {modality} is rendered and not run by our tests: try a few steps first."
