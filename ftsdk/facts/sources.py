"""The data sources that a spec names: files, folders, names in a dataset_info.json, hubs; and files beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from ftsdk.contract.documents import DatasetEntry
from ftsdk.data.formats.dataset_info import (
    check_entry,
    dataset_info_entry,
    files_of,
    from_entry,
    origin,
    script_folder,
    without_empty_names,
)
from ftsdk.data.formats.files import DataFile
from ftsdk.errors import SpecError, did_you_mean
from ftsdk.facts.facts import PROGRAM_FILE, Attached, SourceFacts
from ftsdk.facts.json_files import json_object
from ftsdk.facts.row_contents import contents_of
from ftsdk.spec import Dataset, JobSpec
from ftsdk.spec.program import PythonFile
from ftsdk.storage import fingerprints
from ftsdk.storage.store import BUCKET_SCHEMES

if TYPE_CHECKING:
    from ftsdk.data.cache import HashedFile, Lengths
    from ftsdk.data.inspection import DataFileFacts, LocalFile

PATH_ARGUMENTS = (
    "tokenized_path", "ref_model", "ref_model_adapters", "reward_model_adapters", "new_special_tokens_config",
    "kt_weight_path", "kt_expert_checkpoint_path",
)  # fmt: skip
"""Arguments of the trainer that may name a file or folder of this machine; it travels with the job."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?<!\.jsonl)(?<!\.json)(?<!\.csv)(?<!\.parquet)")
"""An address that could be a data set of a hub as well as a path."""
WILDCARDS = "*?["
HUB_SCHEMES: Final[Mapping[str, Literal["hf_hub_url", "ms_hub_url"]]] = {
    "hf": "hf_hub_url",
    "ms": "ms_hub_url",
    "modelscope": "ms_hub_url",
}


def inspect_sources(
    addresses: tuple[str, ...], spec: JobSpec, root: Path, *, tokenizer: str | None, measure_lengths: bool
) -> tuple[tuple[SourceFacts, ...], Lengths | None]:
    """The data sources at addresses, and the token lengths of their rows if all are files of this machine.

    Raises SpecError for what does not exist and DataError for data that cannot be trained on.
    """
    from ftsdk.data.inspection import InspectionOptions, inspect_files

    entries = {} if spec.dataset.on_hub else _registered_entries(spec.dataset, root)
    resolved = [item for address in addresses for item in _resolve(address, spec, entries, root)]
    files = [item for item in resolved if not isinstance(item, SourceFacts)]
    hyperparameters = spec.hyperparameters
    data = inspect_files(
        files,
        InspectionOptions(
            method=spec.rows_method,
            tokenizer=tokenizer,
            cutoff_len=hyperparameters.cutoff_len,
            batch_size=hyperparameters.per_device_train_batch_size,
            lengths=measure_lengths and len(files) == len(resolved),
        ),
    )
    inspected = iter(data.files)
    sources = tuple(item if isinstance(item, SourceFacts) else _file_source(item, next(inspected)) for item in resolved)
    return sources, data.lengths


def hashed_files(sources: tuple[SourceFacts, ...]) -> tuple[HashedFile, ...]:
    """The sources that are files of this machine, as `ftsdk.data` takes them."""
    from ftsdk.data.inspection import hashed_file

    return tuple(hashed_file(s.file, s.entry, s.format) for s in sources if s.file)


def arguments_of(spec: JobSpec, root: Path) -> tuple[Attached, ...]:
    """Trainer arguments that name a file or folder of this machine; the trainer resolves the others itself."""
    given = spec.hyperparameters.passed_through
    paths = {
        name: (root / Path(str(given[name])).expanduser()).absolute() for name in PATH_ARGUMENTS if given.get(name)
    }
    if isinstance(spec.program, PythonFile):
        paths[PROGRAM_FILE] = _program_file(spec.program, root)
    return tuple(
        Attached(path=str(path), files=fingerprints.below(path, name), argument=name)
        for name, path in paths.items()
        if path.exists()
    )


def _program_file(program: PythonFile, root: Path) -> Path:
    path = (root / Path(program.file).expanduser()).absolute()
    if path.suffix != ".py" or not path.is_file():
        raise SpecError(f"program.file {program.file!r}: give a Python file of this machine ({path} is none).")
    return path


def _resolve(
    address: str, spec: JobSpec, entries: Mapping[str, DatasetEntry], root: Path
) -> Iterator[SourceFacts | LocalFile]:
    """An address as facts if no local file has to be read for them, else as its files."""
    from ftsdk.data.inspection import LocalFile

    scheme, separator, rest = address.partition("://")
    if spec.dataset.on_hub:
        yield SourceFacts(name=address, address=address, file=None, entry={}, format="alpaca", num_rows=None)
    elif separator and scheme in BUCKET_SCHEMES:
        yield _bucket_source(rest, spec.dataset, address)
    elif separator:
        yield _hub_source(scheme, rest, spec.dataset, address)
    elif address in entries:
        yield _registered_source(address, entries[address], spec, root)
    else:
        data = spec.dataset
        for path in _matching_files(address, root, entries):
            file = DataFile(path=path, format=data.format, columns=data.columns or {}, tags=data.tags or {})
            folder = _media_folder(spec, root, path.parent)
            yield LocalFile(file=file, name=path.name.partition(".")[0], media_folder=folder)


def _file_source(file: LocalFile, data: DataFileFacts) -> SourceFacts:
    media = None
    if data.media is not None:
        media = Attached(path=str(file.media_folder), files=data.media, argument="media_dir")
    return SourceFacts(
        name=file.name,
        address=data.original.path,
        file=data.fingerprint,
        original=None if data.original == data.fingerprint else data.original,
        unused=data.unused,
        entry=data.entry,
        format=data.format,
        num_rows=data.num_rows,
        attached=media,
        truncation=data.truncation,
        row_features=data.row_features,
        contents=contents_of(data.fingerprint.path, data.entry),
    )


def _matching_files(address: str, root: Path, entries: Mapping[str, DatasetEntry]) -> list[Path]:
    """A file, the data files of a folder, or the matches of a pattern."""
    path = Path(address).expanduser()
    if any(mark in address for mark in WILDCARDS):
        pattern = str(path)
        matches = sorted(
            Path(path.anchor).glob(pattern[len(path.anchor) :]) if path.is_absolute() else root.glob(pattern)
        )
    else:
        path = (root / path).absolute()
        matches = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else [path]
    files = [p for p in matches if not p.is_dir()]
    if not files or not files[0].exists():
        raise SpecError(f"dataset {address!r}: there is no such file{_advice(address, path, entries)}.")
    return files


def _advice(address: str, path: Path, entries: Mapping[str, DatasetEntry]) -> str:
    if entries:
        return f", and dataset_info.json has no such name{did_you_mean(address, entries)}"
    if path.is_symlink():
        return f": {path} is a link to {path.readlink()}, which does not exist"
    if HUB_ID.fullmatch(address) and not path.parent.is_dir():
        return f" ({path}); for a data set of the Hugging Face hub write hf://{address}"
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, siblings) or f" ({path})"


# --- dataset_info.json ----------------------------------------------------------------------------------------
def _registered_entries(dataset: Dataset, root: Path) -> dict[str, DatasetEntry]:
    """Entries of the dataset folder's dataset_info.json by name, with absolute paths."""
    if dataset.directory is None:
        return {}
    folder = (root / Path(dataset.directory).expanduser()).absolute()
    path = folder / "dataset_info.json"
    if not path.is_file():
        raise SpecError(f"dataset.directory {dataset.directory!r}: there is no dataset_info.json in {folder}.")
    return {
        name: cast(
            DatasetEntry,
            {
                key: _below(folder, value, name) if key in ("file_name", "script_url") else value
                for key, value in without_empty_names(entry).items()
            },
        )
        for name, entry in json_object(path).items()
        if isinstance(entry, dict)
    }


def _below(folder: Path, value: object, name: str) -> str:
    """A path in a dataset_info.json, which may come from elsewhere: its files are read and travel with the job.

    A relative one stays below its folder. An absolute one, as `ftsdk convert` writes it, is what the file says: the
    plan names it.
    """
    path = folder / str(value)
    is_absolute = Path(str(value)).is_absolute()
    if not is_absolute and not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)):
        raise SpecError(
            f"dataset_info.json, '{name}': {path} is outside of {folder}; put the file there, or name it in "
            f"`dataset.train` itself."
        )
    return str(path)


def _registered_source(name: str, entry: DatasetEntry, spec: JobSpec, root: Path) -> SourceFacts | LocalFile:
    from ftsdk.data.inspection import LocalFile, count_rows

    check_entry(name, entry, spec.rows_method)
    source = SourceFacts(
        name=name, address=name, file=None, entry=entry, format=str(entry.get("formatting", "alpaca")), num_rows=None
    )
    match origin(entry):
        case "script":
            path = script_folder(name, Path(entry["script_url"]))
            return replace(
                source,
                address=str(path),
                attached=Attached(path=str(path), files=fingerprints.below(path, f"dataset '{name}'")),
            )
        case "file":
            path = Path(entry["file_name"])
            files = files_of(name, path)
            if path.is_dir():
                num_rows = count_rows([from_entry(entry, file) for file in files])
                attached = Attached(path=str(path), files=tuple(fingerprints.of(file) for file in files))
                return replace(source, address=str(path), num_rows=num_rows, attached=attached)
            folder = _media_folder(spec, root, (root / (spec.dataset.directory or ".")).absolute())
            return LocalFile(file=from_entry(entry, path), name=name, media_folder=folder, entry=entry)
    return source


def _media_folder(spec: JobSpec, root: Path, default: Path) -> Path:
    given = spec.hyperparameters.passed_through.get("media_dir")
    return (root / str(given)).absolute() if given else default


# --- elsewhere ------------------------------------------------------------------------------------------------
def _bucket_source(rest: str, dataset: Dataset, address: str) -> SourceFacts:
    name = rest.rstrip("/").rpartition("/")[2]
    if "." not in name:
        raise SpecError(f"dataset {address!r}: give a file in the bucket (.jsonl, .json, .csv, .parquet or .arrow).")
    format = dataset.format or "alpaca"
    entry = dataset_info_entry(format, dataset.columns, dataset.tags, address)
    label = name.partition(".")[0]
    return SourceFacts(name=label, address=address, file=None, entry=entry, format=format, num_rows=None)


def _hub_source(scheme: str, rest: str, dataset: Dataset, address: str) -> SourceFacts:
    if scheme not in HUB_SCHEMES:
        raise SpecError(
            f"dataset {address!r}: {scheme}:// is not supported; give a file, hf://ORG/NAME or ms://ORG/NAME."
        )
    format = dataset.format or "alpaca"
    entry = dataset_info_entry(format, dataset.columns, dataset.tags, rest)
    entry[HUB_SCHEMES[scheme]] = entry.pop("file_name")
    name = rest.replace("/", "_")
    return SourceFacts(name=name, address=address, file=None, entry=entry, format=format, num_rows=None)
