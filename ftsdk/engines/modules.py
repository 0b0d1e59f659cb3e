"""Module names in a spec (adapter targets, additional and frozen modules) against the model's own. Pure.

peft matches a name in a list with the end of a module's path, and drops the ones that match nothing silently as long as
another matches (peft's `check_target_module_exists`). Where neither the weights nor the architecture are known, the
trainer's program makes the same check once the model is loaded (`ftsdk.runtime.programs.model.modules`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ftsdk.errors import SpecError, did_you_mean
from ftsdk.sizing.estimate import shape_of
from ftsdk.spec import Freeze, JobSpec, Lora, Oft
from ftsdk.spec.peft_family import LnTuning, Targeted

if TYPE_CHECKING:
    from ftsdk.facts import Facts
    from ftsdk.facts.weights import ModelModules

PATTERN_MARKS = frozenset("*+?()[]{}|^$\\")
"""Characters that make a target a regular expression: no module's name has one."""
OUTPUT_LAYERS = ("lm_head",)
"""Absent from the weights of a model whose output layer is its embedding, and there all the same."""
TYPO_CUTOFF = 0.8
"""Similarity (difflib's ratio) above which a name that a table lacks is taken for a misspelt one."""
OTHER_TARGETS = ("galore_target", "apollo_target")


def resolved(spec: JobSpec, facts: Facts) -> JobSpec:
    """The spec with regular expressions among its targets replaced by the modules that they match.

    Raises SpecError for a name that the model does not have, and for an expression that matches nothing.
    """
    modules = facts.model.modules
    if modules is None:
        _refuse_typos(spec, facts)
        return _with_patterns_checked(spec)
    _refuse_unknown(spec, modules)
    tuning = spec.tuning
    if not isinstance(tuning, Lora | Oft | Targeted) or not any(map(is_pattern, tuning.targets)):
        return spec
    targets = tuple(dict.fromkeys(name for target in tuning.targets for name in _expanded(target, modules)))
    return spec.model_copy(update={"tuning": tuning.model_copy(update={"targets": targets})})


def is_pattern(target: str) -> bool:
    """Whether a target is a regular expression."""
    return not PATTERN_MARKS.isdisjoint(target)


def _expanded(target: str, modules: ModelModules) -> list[str]:
    if not is_pattern(target):
        return [target]
    pattern = _compiled(target)
    matches = [name for name in modules.names if name in modules.matrices and pattern.fullmatch(name)]
    if not matches:
        raise SpecError(
            f"tuning.targets {target!r}: the expression matches no whole path of a module such as "
            f"{min(modules.matrices, default='model.layers.0.self_attn.q_proj')}; begin it with `.*`."
        )
    return matches


def _compiled(target: str) -> re.Pattern[str]:
    try:
        return re.compile(target)
    except re.error as problem:
        raise SpecError(f"tuning.targets {target!r} is no regular expression ({problem}).") from None


def _with_patterns_checked(spec: JobSpec) -> JobSpec:
    if isinstance(spec.tuning, Lora | Oft | Targeted):
        for target in filter(is_pattern, spec.tuning.targets):
            _compiled(target)
            raise SpecError(
                f"tuning.targets {target!r}: an expression is matched with the model's weights, which are not on this "
                f"machine; name the modules, e.g. [q_proj, v_proj], or give the model as a folder."
            )
    return spec


def _refuse_unknown(spec: JobSpec, modules: ModelModules) -> None:
    for field, names in named(spec):
        own = (
            modules.matrices
            if field != ADDITIONAL and not isinstance(spec.tuning, LnTuning)
            else {*modules.names, *OUTPUT_LAYERS}
        )
        for name in names:
            if not is_pattern(name) and not _is_in(name, own):
                raise SpecError(_unknown(field, name, own))
    if isinstance(spec.tuning, Freeze):
        _refuse_frozen(spec.tuning, modules)


ADDITIONAL = "hyperparameters.additional_target"


def named(spec: JobSpec) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each field that names modules by the ends of their paths, and the names in it."""
    tuning, extra = spec.tuning, spec.hyperparameters.passed_through
    if isinstance(tuning, Lora | Oft | Targeted):
        yield "tuning.targets", tuple(name for name in tuning.targets if name != "all")
        yield ADDITIONAL, _listed(extra.get("additional_target"))
    for field in OTHER_TARGETS:
        yield f"hyperparameters.{field}", tuple(name for name in _listed(extra.get(field)) if name != "all")


def _listed(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _is_in(name: str, modules: Iterable[str]) -> bool:
    """Whether a name is the end of a module's path, or of a path above it."""
    return any(f".{module}.".find(f".{name}.") >= 0 for module in modules)


def _unknown(field: str, name: str, modules: Collection[str]) -> str:
    own = sorted({part for module in modules for part in module.split(".") if not part.isdecimal()})
    last = sorted({module.rpartition(".")[2] for module in modules})
    hint = did_you_mean(name, last) or did_you_mean(name, own) or f" (it has {', '.join(last[:12])})"
    return f"{field}: the model has no module {name!r} to train{hint}."


def _refuse_frozen(tuning: Freeze, modules: ModelModules) -> None:
    """By the rules of LLaMA-Factory's freeze tuning: modules directly inside a layer, and modules outside of all."""
    layered = [(match[1], match[2]) for name in modules.names if (match := re.search(r"\.(\d+)\.([^.]+)", name))]
    inside = {name for _, name in layered}
    outside = {name.rpartition(".")[2] for name in modules.names if not re.search(r"\.\d+(\.|$)", name)}
    for field, names, own in (
        ("trainable_modules", tuning.trainable_modules, inside),
        ("extra_modules", tuning.extra_modules, outside | set(OUTPUT_LAYERS)),
    ):
        for name in names:
            if name != "all" and name not in own:
                raise SpecError(_unknown(f"tuning.{field}", name, own))
    number = len({layer for layer, _ in layered})
    if not 0 < abs(tuning.trainable_layers) <= number:
        raise SpecError(
            f"tuning.trainable_layers {tuning.trainable_layers}: the model has {number} layers; give a number from 1 "
            f"to {number} for the last ones, or from -1 to -{number} for the first ones."
        )


def _refuse_typos(spec: JobSpec, facts: Facts) -> None:
    """Without weights: refuse what is nearly, but not quite, a linear layer of the architecture."""
    shape, _ = shape_of(spec, facts.model.config)
    if shape is None or shape.notes or isinstance(spec.tuning, LnTuning):
        return
    known = [linear.name for linear in shape.linears]
    for field, names in named(spec):
        own = [*known, "embed_tokens", "lm_head"] if field == ADDITIONAL else known
        for name in names:
            last = name.rpartition(".")[2]
            if is_pattern(name):
                continue
            close = get_close_matches(last, own, n=1, cutoff=TYPO_CUTOFF)
            if last not in own and close:
                raise SpecError(f"{field}: {shape.model_type} models have no {name!r} (did you mean '{close[0]}'?).")
