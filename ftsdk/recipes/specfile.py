"""SPEC on the command line: our YAML, a recipe's name, or any LLaMA-Factory YAML -> a JobSpec."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ftsdk.errors import FtsdkError, SpecError, did_you_mean
from ftsdk.recipes import catalogue, llamafactory_yaml
from ftsdk.spec import Hyperparameters, JobSpec
from ftsdk.spec.job import expanded
from ftsdk.spec.loading import parse, settled
from ftsdk.spec.names import OTHERS, is_foreign, put

INLINED = ("deepspeed", "fsdp_config")
"""Arguments whose file travels as its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A spec and where its relative paths start."""

    spec: JobSpec
    folder: Path
    notes: tuple[str, ...]
    """What was changed on the way in, a sentence each."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as text and `on` as true; here they are what everybody means (as in YAML 1.2).

    A key that stands twice is a mistake, of which PyYAML would take the last.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, every key once."""
        names: set[str] = set()
        for key in (key for key, _ in node.value if key.tag == "tag:yaml.org,2002:str"):
            if key.value in names:
                why = f"the key '{key.value}' stands twice"
                raise yaml.constructor.ConstructorError(None, None, why, key.start_mark)
            names.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [kind for kind in kinds if first not in "oO" or not kind[0].endswith(":bool")]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(reference: str, *, changes: Iterable[str] = ()) -> Loaded:
    """Read a SPEC and apply `key=value` changes. Raises SpecError in one sentence for anything wrong."""
    path = Path(reference).expanduser()
    if path.suffix not in (".yaml", ".yml", ".json") and not path.exists():
        path, folder = catalogue.path_of(reference), Path()  # a recipe's files are the caller's
    else:
        folder = path.parent
    data = read_yaml(path)
    return from_data(data, where=str(path), folder=folder, changes=changes)


def from_data(data: Mapping[str, Any], *, where: str, folder: Path, changes: Iterable[str] = ()) -> Loaded:
    """A spec out of a YAML's content, ours or LLaMA-Factory's."""
    try:
        if llamafactory_yaml.is_llamafactory(data):
            data, notes = llamafactory_yaml.read(_with_inlined_files(data, folder))
            folder = _lf_root(data, folder)
        else:
            data, notes = settled(data)
            if isinstance(given := data.get("hyperparameters"), dict):
                data = {**data, "hyperparameters": _with_inlined_files(given, folder)}
        data, told = apply(data, changes)
    except FtsdkError as problem:
        raise type(problem)(f"{where}: {problem}") from None
    return Loaded(spec=parse(data, where=where), folder=folder, notes=(*notes, *told))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping. Raises SpecError with the line of a mistake."""
    try:
        data = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # a SafeLoader
    except FileNotFoundError:
        raise SpecError(f"There is no file {path}, and no recipe of that name: `ftsdk recipes` lists them.") from None
    except OSError as problem:
        raise SpecError(f"{path} cannot be read ({problem.strerror}).") from problem
    except UnicodeDecodeError as problem:
        raise SpecError(f"{path} is not UTF-8 text (byte {problem.start}); save it as UTF-8.") from problem
    except yaml.YAMLError as problem:
        raise SpecError(f"{path} is not valid YAML: {_place(problem)}.") from problem
    if not isinstance(data, dict):
        raise SpecError(f"{path}: a spec is a mapping with at least `model` and `dataset`.")
    return {str(key): value for key, value in data.items()}


def apply(data: Mapping[str, Any], changes: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """Apply `key=value` changes and say what other programs' names became.

    A bare hyperparameter's name goes under `hyperparameters`, dots go deeper. Raises SpecError for an unknown key.
    """
    out = json.loads(json.dumps(expanded(dict(data)), default=str))
    notes = []
    for change in changes:
        key, mark, text = change.partition("=")
        key = key.strip()
        if not mark or not key:
            raise SpecError(f"--set {change!r}: write key=value, such as learning_rate=1e-4 or tuning.rank=16.")
        try:
            value = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as problem:
            raise SpecError(f"--set {change!r} is not valid YAML: {_place(problem)}.") from problem
        if key not in JobSpec.model_fields and is_foreign(key):
            notes.append(put(out, key, value, replace=True))
        else:
            _set(out, _path_of(key), value)
    return dict(out), [note for note in notes if note]


def _path_of(key: str) -> list[str]:
    first = key.partition(".")[0]
    if first in JobSpec.model_fields:
        return key.split(".")
    from ftsdk.engines.llamafactory.arguments import known_arguments

    if "." in key or (key not in Hyperparameters.model_fields and key not in known_arguments()):
        names = [*JobSpec.model_fields, *Hyperparameters.model_fields, *OTHERS, *known_arguments()]
        raise SpecError(f"--set {key}: the spec has no such key{did_you_mean(key, names)}.")
    return ["hyperparameters", key]


def _set(data: dict[str, Any], path: list[str], value: Any) -> None:
    *above, last = path
    for part in above:
        inner = data.get(part)
        if isinstance(inner, str):  # the short forms `method: dpo`, `tuning: lora`, `dataset: file`
            inner = {{"method": "stage", "tuning": "type", "dataset": "train"}.get(part, part): inner}
        data[part] = inner = inner if isinstance(inner, dict) else {}
        data = inner
    data[last] = value


def _with_inlined_files(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A DeepSpeed or FSDP file becomes its content, so that the job needs no file of this machine."""
    named = {key: data[key] for key in INLINED if isinstance(data.get(key), str)}
    return {**data, **{key: read_yaml(_found(key, value, folder)) for key, value in named.items()}}


def _found(key: str, name: str, folder: Path) -> Path:
    """A file that a LLaMA-Factory YAML names: beside it, above it, or in the current folder."""
    found = next((p for root in (folder, *folder.absolute().parents, Path()) if (p := root / name).is_file()), None)
    if found is None:
        raise SpecError(f"{key}: there is no file {name!r} (looked beside the YAML, above it and in this folder).")
    return found


def _lf_root(data: Mapping[str, Any], folder: Path) -> Path:
    """Folder that LLaMA-Factory would be started in: the nearest one, from the YAML upwards, that has dataset_dir."""
    directory = data["dataset"].get("directory") or "data"
    roots = (folder.absolute(), *folder.absolute().parents, Path.cwd())
    return next((root for root in roots if (root / directory / "dataset_info.json").is_file()), folder)


def _place(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + str(getattr(problem, "problem", None) or problem).splitlines()[0]
