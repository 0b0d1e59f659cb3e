"""Where training rows come from: files, folders, names in a dataset_info.json, hubs; and what travels with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftsdk.data.formats.registered import check_entry, files_of, from_entry, origin, script_folder
from ftsdk.errors import DataError, SpecError, did_you_mean
from ftsdk.spec import Dataset, JobSpec
from ftsdk.storage import fingerprints
from ftsdk.storage.fingerprints import Fingerprint
from ftsdk.storage.store import BUCKET_SCHEMES

if TYPE_CHECKING:
    from ftsdk.data.statistics.truncation import Cut

PATH_ARGUMENTS = (
    "tokenized_path", "ref_model", "ref_model_adapters", "reward_model_adapters", "new_special_tokens_config",
    "kt_weight_path", "kt_expert_checkpoint_path",
)  # fmt: skip
"""Arguments of the trainer that may name a file or folder of this machine; it travels with the job."""
HUB_SCHEMES = {"hf": "hf_hub_url", "ms": "ms_hub_url", "modelscope": "ms_hub_url"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file or folder that travels with the job beside the model and the data files."""

    path: str
    """Absolute; the trainer gets its place inside."""
    files: tuple[Fingerprint, ...]
    argument: str = ""
    """The trainer's argument that names it; empty for a folder of data files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """One data source: a local file, or a name on a hub."""

    name: str
    """Name under which the trainer knows it."""
    address: str
    """As the spec wrote it, a file as an absolute path."""
    file: Fingerprint | None
    """None for what is not on this machine."""
    entry: dict[str, Any]
    """LLaMA-Factory's dataset_info.json entry; `file_name` is the absolute path here."""
    format: str
    num_rows: int | None
    """None if unknown."""
    attached: Attached | None = None
    """A folder of data files instead of one file, or the folder of the media that the rows name."""
    cut: Cut | None = None
    """What `cutoff_len` cuts away; None if it is not known here."""

    @property
    def is_here(self) -> bool:
        """Whether the rows are on this machine."""
        return self.file is not None or self.attached is not None


def sources_of(addresses: tuple[str, ...], spec: JobSpec, root: Path) -> tuple[SourceFacts, ...]:
    """The data sources that addresses name. Raises SpecError and DataError."""
    registered = {} if spec.dataset.on_hub else _registered(spec.dataset, root)
    return tuple(source for address in addresses for source in _source(address, spec, registered, root))


def _registered(dataset: Dataset, root: Path) -> dict[str, Any]:
    """Names in the dataset folder's dataset_info.json, their files as absolute paths."""
    if dataset.directory is None:
        return {}
    folder = (root / Path(dataset.directory).expanduser()).absolute()
    path = folder / "dataset_info.json"
    if not path.is_file():
        raise SpecError(f"dataset.directory {dataset.directory!r}: there is no dataset_info.json in {folder}.")
    return {name: _with_absolute_paths(entry, folder) for name, entry in json_object(path).items()}


def _with_absolute_paths(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {k: str(folder / v) if k in ("file_name", "script_url") else v for k, v in entry.items()}


def _source(address: str, spec: JobSpec, registered: dict[str, Any], root: Path) -> Iterator[SourceFacts]:
    scheme, mark, rest = address.partition("://")
    if spec.dataset.on_hub:
        yield SourceFacts(name=address, address=address, file=None, entry={}, format="alpaca", num_rows=None)
    elif mark and scheme in BUCKET_SCHEMES:
        yield _bucket_source(rest, spec.dataset, address)
    elif mark:
        yield _hub_source(scheme, rest, spec.dataset, address)
    elif address in registered:
        yield _registered_source(address, registered[address], spec, root)
    else:
        yield from (_file_source(path, spec, root) for path in _files(address, root, registered))


def _files(address: str, root: Path, registered: dict[str, Any]) -> list[Path]:
    """A file, the data files of a folder, or what a glob matches."""
    path = Path(address).expanduser()
    if any(mark in address for mark in "*?["):
        pattern = str(path)
        found = sorted(
            Path(path.anchor).glob(pattern[len(path.anchor) :]) if path.is_absolute() else root.glob(pattern)
        )
    else:
        path = (root / path).absolute()
        found = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else [path]
    found = [p for p in found if not p.is_dir()]
    if not found or not found[0].exists():
        raise SpecError(f"dataset {address!r}: there is no such file{_advice(address, path, registered)}.")
    return found


def _advice(address: str, path: Path, registered: dict[str, Any]) -> str:
    if registered:
        return f", and dataset_info.json has no such name{did_you_mean(address, registered)}"
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, siblings) or f" ({path})"


def _file_source(path: Path, spec: JobSpec, root: Path) -> SourceFacts:
    from ftsdk.data.formats.shapes import FORMATS, dataset_info_entry
    from ftsdk.data.formats.summary import describe_file

    data = spec.dataset
    summary = describe_file(path, method=spec.method.stage, format=data.format, columns=data.columns, tags=data.tags)
    found = summary.detected
    if summary.convert_first:
        raise DataError(f"{path}: {summary.convert_first}; convert it first: ftsdk data convert {path} -o NEW.jsonl")
    if spec.method.stage not in FORMATS[found.format].methods:
        raise DataError(_misfit(path, found.format, spec.method.stage))
    return SourceFacts(
        name=path.name.partition(".")[0],
        address=str(path),
        file=fingerprints.of(path),
        entry=dataset_info_entry(found.format, found.columns, found.tags, str(path)),
        format=found.format,
        num_rows=summary.num_rows,
        attached=_media(path, found.columns, _media_folder(spec, root, path.parent)),
    )


def _misfit(path: Path, found: str, stage: str) -> str:
    from ftsdk.data.formats.shapes import FORMATS

    fitting = " or ".join(name for name, info in FORMATS.items() if stage in info.methods)
    meant = f"its rows are '{found}' ({FORMATS[found].meaning})"
    return f"{path}: method {stage} cannot train on it, {meant}; give '{fitting}' rows, or another method."


def _registered_source(name: str, entry: dict[str, Any], spec: JobSpec, root: Path) -> SourceFacts:
    check_entry(name, entry, spec.method.stage)
    found = SourceFacts(
        name=name, address=name, file=None, entry=entry, format=str(entry.get("formatting", "alpaca")), num_rows=None
    )
    match origin(entry):
        case "file":
            return _registered_file(found, Path(entry["file_name"]), spec, root)
        case "script":
            path = script_folder(name, Path(entry["script_url"]))
            return replace(found, address=str(path), attached=Attached(path=str(path), files=_below(path)))
    return found


def _registered_file(found: SourceFacts, path: Path, spec: JobSpec, root: Path) -> SourceFacts:
    from ftsdk.data.formats.summary import describe_file

    files = files_of(found.name, path)
    shapes = [from_entry(found.entry, file) for file in files]
    counts = [
        describe_file(shape.path, format=shape.format, columns=shape.columns, tags=shape.tags).num_rows
        for shape in shapes
    ]
    num_rows = sum(count or 0 for count in counts) if None not in counts else None
    if path.is_dir():
        beside = Attached(path=str(path), files=tuple(fingerprints.of(file) for file in files))
        return replace(found, address=str(path), num_rows=num_rows, attached=beside)
    folder = _media_folder(spec, root, (root / (spec.dataset.directory or ".")).absolute())
    media = _media(path, dict(shapes[0].columns), folder)
    return replace(found, address=str(path), file=fingerprints.of(path), num_rows=num_rows, attached=media)


def _media_folder(spec: JobSpec, root: Path, usual: Path) -> Path:
    named = spec.hyperparameters.passed_through.get("media_dir")
    return (root / str(named)).absolute() if named else usual


def _media(path: Path, columns: dict[str, str], folder: Path) -> Attached | None:
    """The media that a data file's rows name."""
    from ftsdk.data.formats.media import ROLES, media_files

    if not set(ROLES) & set(columns):
        return None
    files = tuple(fingerprints.of(file) for file in media_files(path, columns, folder))
    return Attached(path=str(folder), files=files, argument="media_dir")


def arguments_of(spec: JobSpec, root: Path) -> tuple[Attached, ...]:
    """Arguments that name something on this machine; what is not here is left to the trainer."""
    given = spec.hyperparameters.passed_through
    paths = {
        name: (root / Path(str(given[name])).expanduser()).absolute() for name in PATH_ARGUMENTS if given.get(name)
    }
    return tuple(
        Attached(path=str(path), files=_below(path), argument=name) for name, path in paths.items() if path.exists()
    )


def _below(path: Path) -> tuple[Fingerprint, ...]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return tuple(fingerprints.of(file) for file in files)


def _bucket_source(rest: str, dataset: Dataset, address: str) -> SourceFacts:
    from ftsdk.data.formats.shapes import dataset_info_entry

    name = rest.rstrip("/").rpartition("/")[2]
    if "." not in name:
        raise SpecError(f"dataset {address!r}: give a file in the bucket (.jsonl, .json, .csv, .parquet or .arrow).")
    declared = dataset.format or "alpaca"
    entry = dataset_info_entry(declared, dataset.columns, dataset.tags, address)
    label = name.partition(".")[0]
    return SourceFacts(name=label, address=address, file=None, entry=entry, format=declared, num_rows=None)


def _hub_source(scheme: str, rest: str, dataset: Dataset, address: str) -> SourceFacts:
    if scheme not in HUB_SCHEMES:
        raise SpecError(f"dataset {address!r}: no {scheme}:// here; give a file, hf://ORG/NAME or ms://ORG/NAME.")
    from ftsdk.data.formats.shapes import dataset_info_entry

    declared = dataset.format or "alpaca"
    entry = dataset_info_entry(declared, dataset.columns, dataset.tags, rest)
    entry[HUB_SCHEMES[scheme]] = entry.pop("file_name")
    name = rest.replace("/", "_")
    return SourceFacts(name=name, address=address, file=None, entry=entry, format=declared, num_rows=None)


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises SpecError."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise SpecError(f"{path} cannot be read as JSON ({problem}).") from problem
    if not isinstance(data, dict):
        raise SpecError(f"{path} should hold a JSON object.")
    return data
