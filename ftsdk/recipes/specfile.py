"""The argument SPEC -> a JobSpec: a spec's YAML, a recipe's name, or any LLaMA-Factory YAML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ftsdk.contract.foreign import JsonObject
from ftsdk.errors import FtsdkError, SpecError, did_you_mean, unreadable
from ftsdk.recipes import catalogue, llamafactory_yaml, yaml12
from ftsdk.spec import Hyperparameters, JobSpec
from ftsdk.spec.base import plain
from ftsdk.spec.job import NormalizedSpec, with_full_forms
from ftsdk.spec.loading import EXCLUSIVE, name_notes, normalized, parse
from ftsdk.spec.names import OTHERS, is_foreign, put

OTHER_PROGRAMS = {
    "axolotl": {"base_model", "datasets"},
    "torchtune": {"model", "tokenizer", "loss", "optimizer"},
    "OpenAI's fine-tuning": {"training_file", "model"},
}
"""Another program -> keys that its files have and ours have not."""
INLINED = ("deepspeed", "fsdp_config")
"""Arguments that name a file; its content replaces the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A spec and the folder that its relative paths start from."""

    spec: JobSpec
    folder: Path
    notes: tuple[str, ...]
    """One sentence for each key that was renamed, moved or dropped."""


def load(reference: str, *, changes: Iterable[str] = ()) -> Loaded:
    """Read a SPEC and apply `key=value` changes. Raises SpecError for anything that is wrong."""
    path, folder = find(reference)
    return from_data(read_yaml(path), where=str(path), folder=folder, changes=changes)


def find(reference: str) -> tuple[Path, Path]:
    """The file of a SPEC, and the folder that its relative paths start from."""
    path = Path(reference).expanduser()
    if path.suffix not in (".yaml", ".yml", ".json") and not path.exists():
        return catalogue.path_of(reference), Path()  # a recipe's paths start from the current folder
    return path, path.parent


def from_data(data: Mapping[str, object], *, where: str, folder: Path, changes: Iterable[str] = ()) -> Loaded:
    """A spec from a YAML's content, of ftsdk or LLaMA-Factory. `where` names it in errors."""
    if "sweep" in data:
        raise SpecError(f"{where}: it has a `sweep`, which is many jobs: start them with `ftsdk sweep {where}`.")
    if "steps" in data:
        raise SpecError(f"{where}: it has `steps`, which are a pipeline: start it with `ftsdk run {where}`.")
    if other := next((name for name, keys in OTHER_PROGRAMS.items() if keys <= data.keys()), ""):
        raise SpecError(
            f"{where}: this is a file of {other}, which ftsdk does not convert: write model, method, dataset and "
            "hyperparameters anew (`ftsdk init RECIPE` begins one)."
        )
    try:
        if llamafactory_yaml.is_llamafactory(data):
            spec, notes = llamafactory_yaml.read(plain(_with_inlined_files(data, folder)))
            folder = _start_folder(spec, folder)
        else:
            spec, notes = normalized(data)
            if isinstance(given := spec.get("hyperparameters"), dict):
                spec["hyperparameters"] = _with_inlined_files(given, folder)
        spec, change_notes = apply_changes(spec, changes)
    except FtsdkError as problem:
        raise type(problem)(f"{where}: {problem}") from None
    except OSError as problem:
        raise unreadable(problem, where) from None
    parsed = parse(spec, where=where)
    return Loaded(spec=parsed, folder=folder, notes=(*notes, *change_notes, *name_notes(spec.get("name"), parsed)))


def read_yaml(path: Path) -> JsonObject:
    """Read a YAML file. Raises SpecError with the line of a mistake."""
    try:
        data = yaml12.load(_text(path), where=str(path))
    except FileNotFoundError:
        raise SpecError(f"There is no file {path}, and no recipe of that name: `ftsdk recipes` lists them.") from None
    except OSError as problem:
        raise SpecError(f"{path} cannot be read ({problem.strerror}).") from problem
    except UnicodeDecodeError as problem:
        raise SpecError(f"{path} is not UTF-8 text (byte {problem.start}); save it as UTF-8.") from problem
    if not isinstance(data, dict):
        raise SpecError(f"{path}: a spec is a mapping with at least `model` and `dataset`.")
    return {str(key): value for key, value in data.items()}


def _text(path: Path) -> str:
    """The file's text, one character more than a spec may have at most."""
    with path.open(encoding="utf-8") as file:
        return file.read(yaml12.MAX_BYTES + 1)


def apply_changes(spec: NormalizedSpec, changes: Iterable[str]) -> tuple[NormalizedSpec, list[str]]:
    """Apply `key=value` changes; returns the data and a note for each name of another program that was replaced.

    A bare hyperparameter is set under `hyperparameters`; dots name nested fields. Raises SpecError for an unknown key.
    """
    out = json.loads(json.dumps(spec, default=str))
    notes: list[str | None] = []
    changed = False
    for change in changes:
        key, mark, text = change.partition("=")
        key = key.strip()
        if not mark or not key:
            raise SpecError(f"--set {change!r}: write key=value, such as learning_rate=1e-4 or tuning.rank=16.")
        value = plain(yaml12.load(text, where=f"--set {change!r:.80}"))
        changed = True
        if key not in JobSpec.model_fields and is_foreign(key):
            notes.append(put(out, key, value, replace=True))
        else:
            _set(out, _path_of(key), value)
    return NormalizedSpec(with_full_forms(out) if changed else out), [note for note in notes if note]


def _path_of(key: str) -> list[str]:
    first = key.partition(".")[0]
    if first in JobSpec.model_fields:
        return key.split(".")
    from ftsdk.engines.llamafactory.arguments import known_arguments

    if "." in key or (key not in Hyperparameters.model_fields and key not in known_arguments()):
        names = [*JobSpec.model_fields, *Hyperparameters.model_fields, *OTHERS, *known_arguments()]
        raise SpecError(f"--set {key}: the spec has no such key{did_you_mean(key, names)}.")
    return ["hyperparameters", key]


def _set(data: JsonObject, path: list[str], value: object) -> None:
    *above, last = path
    for part in above:
        inner = data.get(part)
        if isinstance(inner, str):  # the short forms `method: dpo`, `tuning: lora`, `dataset: file`
            inner = {{"method": "stage", "tuning": "type", "dataset": "train"}.get(part, part): inner}
        data[part] = inner = inner if isinstance(inner, dict) else {}
        data = inner
    data[last] = value
    data.pop(EXCLUSIVE.get(last, ""), None)


def _with_inlined_files(data: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Replace the name of a DeepSpeed or FSDP file by its content, so that the job needs no file of this machine."""
    named = {key: value for key in INLINED if isinstance(value := data.get(key), str)}
    return {**data, **{key: read_yaml(_find_file(key, value, folder)) for key, value in named.items()}}


def _find_file(key: str, name: str, folder: Path) -> Path:
    """A file that a LLaMA-Factory YAML names: beside it, above it, or in the current folder."""
    path = next((p for root in (folder, *folder.absolute().parents, Path()) if (p := root / name).is_file()), None)
    if path is None:
        raise SpecError(f"{key}: there is no file {name!r} (looked beside the YAML, above it and in this folder).")
    return path


def _start_folder(data: Mapping[str, object], folder: Path) -> Path:
    """Folder that LLaMA-Factory is started in: the nearest one, from the YAML upwards, that has dataset_dir."""
    dataset = data.get("dataset")
    if not isinstance(dataset, Mapping):  # a merge; its model is relative to the folder where LLaMA-Factory is started
        return Path()
    directory = dataset.get("directory") or "data"
    roots = (folder.absolute(), *folder.absolute().parents, Path.cwd())
    return next((root for root in roots if (root / directory / "dataset_info.json").is_file()), folder)
