"""Data -> JobSpec, with every mistake as one sentence that names the field and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ftsdk.errors import SpecError, UnsupportedError, did_you_mean, on_one_line
from ftsdk.spec.base import plain
from ftsdk.spec.hyperparameters import Hyperparameters
from ftsdk.spec.job import LABEL_MAX_LENGTH, JobSpec, NormalizedSpec, name_tuning, with_full_forms
from ftsdk.spec.names import GONE, LLAMAFACTORY, OTHERS, REPLACED, REWRITTEN, is_foreign, put, write_at
from ftsdk.spec.program import PROGRAMS, Program
from ftsdk.spec.rewards import REWARDS
from ftsdk.spec.tuning import TUNINGS, Tuning

EXAMPLES = {"secrets": "[HF_TOKEN] (names, never values)", "tuning.targets": "[q_proj, v_proj]"}
"""Lists that may be given as a bare text by mistake; it may be a secret, so it is not repeated."""

UNSUPPORTED = {
    "adapter": "bottleneck layers, which no trainer here has: use `ia3` or `lora`, which train as few weights",
    "llama-adapter": "vectors in the attention, which peft has for Llama alone: use `prefix`",
}
"""Tunings that the literature has and our trainers lack: what they are, and what to use instead."""
SPELLINGS = {
    "prompt-tuning": "prompt",
    "prefix-tuning": "prefix",
    "p-tuning": "p_tuning",
    "ptuning": "p_tuning",
    "p-tuning-v2": "p_tuning_v2",
    "ptuning-v2": "p_tuning_v2",
    "ln-tuning": "ln_tuning",
    "fourier-ft": "fourierft",
}
"""Other spellings of a tuning's name, with hyphens for underscores, and ours."""
WRITTEN = {
    "dora": "{type: lora, dora: true}",
    "rslora": "{type: lora, rslora: true}",
    "pissa": "{type: lora, pissa: true}",
    "lora+": "{type: lora, plus_lr_ratio: 16}",
}
"""Variants of LoRA and how they are written."""


EXCLUSIVE = {
    "warmup_steps": "warmup_ratio",
    "warmup_ratio": "warmup_steps",
    "eval_fraction": "eval_rows",
    "eval_rows": "eval_fraction",
}
"""Field -> the other field for the same thing, which a change of the first one removes."""
_UNION_MEMBERS = ("constrained-float", "literal['auto']", "int", "float")
"""pydantic's words for the kinds of num_train_epochs and of numbers of steps."""
KINDS = {
    "rewards": ("reward", "name", REWARDS),
    "program": ("program", "type", PROGRAMS),
    "tuning": ("tuning", "type", TUNINGS),
}
"""Field whose value says by a key what it is -> its name in messages, the key, the key's values."""
_ORDER = {name: number for number, name in enumerate((*LLAMAFACTORY, *OTHERS, *REPLACED, *GONE, *REWRITTEN))}


def parse(data: Mapping[str, object], *, where: str) -> JobSpec:
    """A spec from mappings, parts or short forms; names of other programs are moved to their places (see `normalized`).

    `where` names the file in messages. Raises SpecError, and UnsupportedError for a tuning that no trainer has.
    """
    if not isinstance(data, Mapping):
        raise SpecError(f"{where}: a spec is a mapping with at least `model` and `dataset`.")
    _refuse_unsupported(data.get("tuning"), where)
    try:
        return JobSpec.model_validate(data if isinstance(data, NormalizedSpec) else normalized(data)[0])
    except ValidationError as problem:
        raise SpecError(f"{where}: {sentences(problem)}") from None
    except SpecError as problem:
        raise SpecError(f"{where}: {problem}") from None


def normalized(data: Mapping[str, object], *, over: JobSpec | None = None) -> tuple[NormalizedSpec, list[str]]:
    """A spec's data with every name of `ftsdk.spec.names` in its place, and a sentence for each that was moved.

    They may stand at the top or under `hyperparameters`; so may our own hyperparameters. Raises SpecError where two
    names of one place differ. What `data` says replaces what the spec `over` says.
    """
    given: dict[str, object] = plain(data)
    top = {key: value for key, value in given.items() if _belongs_below(key)}
    before = over.model_dump() if over else {}
    own_names = {key: value for key, value in given.items() if key not in top}
    spec = NormalizedSpec(with_full_forms({**before, **own_names}))
    if isinstance(inner := spec.get("hyperparameters", {}), dict):
        own = {key: value for key, value in inner.items() if key in Hyperparameters.model_fields or not is_foreign(key)}
        spec["hyperparameters"] = own
        top = {**{key: value for key, value in inner.items() if key not in own}, **top}
    ordered = sorted(top, key=lambda name: _ORDER.get(name, -1))
    notes = [_placed(spec, name, top[name], replace=bool(over)) for name in ordered]
    name_tuning(spec)
    return spec, [note for note in notes if note]


def name_notes(given: object, spec: JobSpec) -> list[str]:
    """A sentence if the name that was given is not the label that the job gets."""
    if not given or given == spec.name:
        return []
    return [
        f"name {given!r:.80} becomes {spec.name!r}: a label has lower-case letters, digits and single hyphens, "
        f"at most {LABEL_MAX_LENGTH}."
    ]


def _belongs_below(key: str) -> bool:
    return key not in JobSpec.model_fields and (is_foreign(key) or key in Hyperparameters.model_fields)


def _placed(spec: dict[str, object], name: str, value: object, *, replace: bool) -> str | None:
    if is_foreign(name):
        return put(spec, name, value, replace=replace)
    write_at(spec, f"hyperparameters.{name}", value, replace=True)
    if replace and isinstance(written := spec["hyperparameters"], dict):
        written.pop(EXCLUSIVE.get(name, ""), None)
    return f"{name} is hyperparameters.{name} here."


def _refuse_unsupported(tuning: object, where: str) -> None:
    kind = tuning.get("type") if isinstance(tuning, Mapping) else tuning
    named = str(kind).lower().replace("_", "-")
    if named in SPELLINGS and kind not in TUNINGS:
        raise SpecError(f"{where}: tuning {kind!r} is written {SPELLINGS[named]}.")
    if (named := named.removesuffix("-tuning")) in UNSUPPORTED:
        raise UnsupportedError(f"{where}: tuning {kind!r} means {UNSUPPORTED[named]}.")


def sentences(problem: ValidationError) -> str:
    """All of pydantic's findings, one clause each."""
    return "; ".join(dict.fromkeys(_sentence(error) for error in problem.errors()[:5])) + "."


def _sentence(error: ErrorDetails) -> str:
    place = next((field for field in KINDS if field in error["loc"]), "")
    kinds = (*(KINDS[place][2] if place else ()), *_UNION_MEMBERS)
    location = [on_one_line(str(part)) for part in error["loc"] if part not in kinds]
    field = ".".join(location) or "the spec"
    match error["type"]:
        case "missing":
            return f"'{field}' is missing"
        case "extra_forbidden":
            return f"unknown key '{field}'{_nearest(location)}"
        case "union_tag_invalid":
            return f"{field}: {_unknown_kind(location, error['input'])}"
        case "tuple_type":
            return f"{field}: write a list, such as {EXAMPLES.get(field, '[a, b]')}"
        case "too_short":
            return f"{field}: name at least one"
        case "timezone_aware":
            return f"{field}: give a time with its zone, such as 2026-12-01T09:00:00+08:00"
        case "literal_error":
            names = re.findall(r"'([^']+)'", error["ctx"]["expected"])
            near = did_you_mean(str(error["input"]), names)
            return f"{field}: {_message(error['msg'])}, not {_shown(error['input'])}{near}"
        case "value_error":
            return f"{field}: {error['ctx']['error']}"
    return f"{field}: {_message(error['msg'])}, not {_shown(error['input'])}"


def _unknown_kind(location: list[str], given: object) -> str:
    what, key, known = KINDS[next(field for field in KINDS if field in location)]
    names = [name for name in known if name != "function"]
    given = given.get(key) if isinstance(given, dict) else given
    if not isinstance(given, str):
        return f"{key} is a name, not {_shown(given)}"
    if what == "tuning" and given in WRITTEN:
        return f"write {given} as {WRITTEN[given]}"
    more = ", or a function of yours as FILE.py:FUNCTION" if what == "reward" else ""
    return f"{given!r} is no {what}{did_you_mean(given, names)}; choose one of {', '.join(names)}{more}"


def _message(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _nearest(location: list[str]) -> str:
    """A suggestion from the names that are valid at this place."""
    names = _names_at(location[:-1])
    close = did_you_mean(location[-1], names)
    if not close and len(location) == 1 and did_you_mean(location[0], Hyperparameters.model_fields):
        return did_you_mean(location[0], Hyperparameters.model_fields).replace("'?", "' under hyperparameters?")
    return close or (f" (known here: {', '.join(sorted(names))})" if names else "")


def _names_at(location: list[str]) -> list[str]:
    model: type[BaseModel] = JobSpec
    for part in location:
        field = model.model_fields.get(part)
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return _names_of_kinds(part)
        model = kind
    return list(model.model_fields)


def _names_of_kinds(field: str) -> list[str]:
    """Names of the fields of every kind of tuning or program."""
    union = {"tuning": Tuning, "program": Program}.get(field)
    kinds = get_args(get_args(union)[0]) if union else ()
    return sorted({name for kind in kinds for name in kind.model_fields})
