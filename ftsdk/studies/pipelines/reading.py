"""A pipeline's YAML -> a Pipeline, with every mistake as one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from ftsdk.errors import FtsdkError, SpecError, did_you_mean
from ftsdk.recipes import specfile, yaml12
from ftsdk.spec.base import plain
from ftsdk.spec.loading import sentences
from ftsdk.studies.pipelines.pipeline import Pipeline
from ftsdk.studies.pipelines.step import SCHEME, Push, Step, name_of

Fields = dict[str, object]
"""A step as it is written, or the defaults of all."""
STEP_KEYS: Final = ("needs", "if", "foreach", "best", "goal", "backend", "options")
PUSH_KEYS: Final = ("push", "model", "public", "overwrite")
FILE: Final = "spec"
"""Key of a step that names the file or the recipe of its spec; what stands beside it counts more."""
ROWS: Final = ("dataset", "method")
TOKENS: Final = ("template", "cutoff_len", "seed")
"""Hyperparameters on which the held-out rows of a training depend."""


class LoadedPipeline(NamedTuple):
    """A pipeline and the folder that its relative paths start from."""

    pipeline: Pipeline
    folder: Path
    notes: tuple[str, ...]
    """One sentence for each key of a step that was renamed, moved or dropped."""


def load(reference: str, *, changes: Iterable[str] = ()) -> LoadedPipeline:
    """Read a pipeline's file, or a ready-made one by its name; changes are `STEP.KEY=VALUE` or `defaults.KEY=VALUE`.

    Raises SpecError for anything that is wrong.
    """
    path, folder = specfile.find(reference)
    return from_data({"name": path.stem, **specfile.read_yaml(path)}, where=str(path), folder=folder, changes=changes)


def from_data(data: Mapping[str, object], *, where: str, folder: Path, changes: Iterable[str] = ()) -> LoadedPipeline:
    """A pipeline from a YAML's content; `where` names it in errors."""
    steps = {name: _fields(fields) for name, fields in _mapping(data, "steps", where).items()}
    defaults = _mapping(data, "defaults", where)
    if not steps:
        raise SpecError(f"{where}: a pipeline has `steps`, a mapping of names to specs; `ftsdk submit` takes one spec.")
    for change in changes:
        _apply(change, steps, defaults)
    notes: list[str] = []
    every = _with_held_out({name: _with_file(fields, defaults, folder) for name, fields in steps.items()})
    read = tuple(_step(name, fields, where, folder, notes) for name, fields in every.items())
    own = {key: value for key, value in plain(data).items() if key not in ("steps", "defaults")}
    try:
        pipeline = Pipeline.model_validate({**own, "steps": read})
    except ValidationError as problem:
        raise SpecError(f"{where}: {sentences(problem)}") from None
    return LoadedPipeline(pipeline, folder, tuple(notes))


def _mapping(data: Mapping[str, object], key: str, where: str) -> Fields:
    value = plain(data.get(key) or {})
    inner = value.values() if isinstance(value, dict) and key == "steps" else ()
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in inner):
        raise SpecError(f"{where}: `{key}` is a mapping, such as {{sft: {{model: …, dataset: …}}}}.")
    return dict(value)


def _fields(value: object) -> Fields:
    """A mapping as it is; empty for anything else."""
    return value if isinstance(value, dict) else {}


def _apply(change: str, steps: dict[str, Fields], defaults: Fields) -> None:
    path, mark, text = change.partition("=")
    name, _, key = path.strip().partition(".")
    places = {**steps, "defaults": defaults}
    if not (mark and key):
        raise SpecError(f"--set {change!r}: write STEP.KEY=VALUE, such as sft.learning_rate=1e-4.")
    if name not in places:
        raise SpecError(f"--set {change!r}: there is no step {name!r}{did_you_mean(name, places)}.")
    value, place = yaml12.load(text, where=f"--set {change!r:.80}"), places[name]
    *above, last = key.split(".")
    for part in above:
        inner = place.get(part)
        place[part] = place = inner if isinstance(inner, dict) else {}
    place[last] = plain(value)


def _with_file(fields: Fields, defaults: Fields, folder: Path) -> Fields:
    """A step's fields over those of the file that it names and over the defaults, which a push does not take."""
    if "push" in fields:
        return fields
    given: Fields = {}
    if isinstance(reference := fields.get(FILE), str):
        is_file = Path(reference).suffix in (".yaml", ".yml", ".json")
        given = specfile.read_yaml(specfile.find(str(folder / reference) if is_file else reference)[0])
    return {**defaults, **given, **{key: value for key, value in fields.items() if key != FILE}}


def _with_held_out(steps: Mapping[str, Fields]) -> dict[str, Fields]:
    """An evaluation without rows of its own measures on those that the training of its model holds out."""
    return {name: {**_rows_of(fields, steps), **fields} for name, fields in steps.items()}


def _rows_of(fields: Fields, steps: Mapping[str, Fields]) -> Fields:
    program = fields.get("program")
    kind = program.get("type") if isinstance(program, dict) else program
    if kind != "evaluate" or "dataset" in fields:
        return {}
    trained, visited = fields, set[str]()
    while isinstance(model := trained.get("model"), str) and model.startswith(SCHEME):
        name = name_of(model)
        if name in visited or name not in steps:
            return {}
        visited.add(name)
        trained = steps[name]
        if trained.get("program") in (None, "train"):
            break
    tokens = {**_fields(trained.get("hyperparameters")), **trained}
    kept = {key: tokens[key] for key in TOKENS if key in tokens}
    rows: Fields = {key: trained[key] for key in ROWS if key in trained}
    return {**rows, "hyperparameters": kept}


def _step(name: str, fields: Fields, where: str, folder: Path, notes: list[str]) -> Step:
    place = f"{where}, step {name}"
    own = {("condition" if key == "if" else key): fields[key] for key in STEP_KEYS if key in fields}
    rest = {key: value for key, value in fields.items() if key not in STEP_KEYS}
    if isinstance(own.get("needs"), str):
        own["needs"] = (own["needs"],)
    try:
        if "push" in rest:
            return Step.model_validate({"name": name, **own, "push": _push(rest)})
        loaded = specfile.from_data(rest, where=place, folder=folder)
        notes += [f"{name}: {note}" for note in loaded.notes]
        return Step.model_validate({"name": name, **own, "spec": loaded.spec})
    except ValidationError as problem:
        raise SpecError(f"{place}: {sentences(problem)}") from None
    except FtsdkError as problem:
        message = str(problem)
        raise type(problem)(message if message.startswith(place) else f"{place}: {message}") from None


def _push(fields: Fields) -> Push:
    if unknown := [key for key in fields if key not in PUSH_KEYS]:
        raise SpecError(f"unknown key {unknown[0]!r} of a push{did_you_mean(unknown[0], PUSH_KEYS)}.")
    return Push.model_validate({("to" if key == "push" else key): value for key, value in fields.items()})
