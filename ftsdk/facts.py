"""inspect(spec) -> Facts: the only step that looks at the world. What it cannot see it names as unknown."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ftsdk import contract, fingerprints, remote_model, reward_files
from ftsdk.errors import DataError, SpecError, did_you_mean
from ftsdk.fingerprints import Fingerprint
from ftsdk.home import home_dir
from ftsdk.runtime_archive import RuntimeArchive
from ftsdk.sizing.price import Prices
from ftsdk.sizing.price_file import own_prices
from ftsdk.spec import Dataset, JobSpec
from ftsdk.store import BUCKET_SCHEMES

if TYPE_CHECKING:
    from ftsdk.data.known import KnownFile, Lengths

HUB_SCHEMES = {"hf": "hf_hub_url", "ms": "ms_hub_url", "modelscope": "ms_hub_url"}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The base model, as far as it can be seen from here."""

    address: str
    """A folder's absolute path, a hub id, or another address."""
    kind: str
    """path, hub, modelscope or remote."""
    base: str
    """The model under an adapter folder; else the same as `address`."""
    files: tuple[Fingerprint, ...]
    config: dict[str, Any] | None
    """The model's config.json; None if it cannot be read from here."""
    bytes: int | None = None
    """Size of a remote model's files; None if it is not remote, or not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """This machine."""

    platform: str
    python: str
    accelerators: tuple[str, ...]
    """Names of the NVIDIA GPUs, empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that `plan` knows of the world."""

    home: str
    folder: str
    """Folder against which relative paths were read."""
    model: ModelFacts
    train: tuple[SourceFacts, ...]
    eval: tuple[SourceFacts, ...]
    runtime: RuntimeArchive
    machine: MachineFacts
    unknown: tuple[str, ...]
    """What could not be found out, a sentence each."""
    lengths: Lengths | None = None
    """How long the training rows are; None where they are not on this machine."""
    prices: Prices = field(default_factory=dict)
    """The user's own price file; empty without one."""
    reward_model: ModelFacts | None = None
    """The model that scores answers, if the method has one."""
    reward_files: dict[str, Fingerprint] = field(default_factory=dict)
    """Files with reward functions, by their paths as `method.rewards` writes them."""
    nonce: str = ""
    """Random when one more job of the same spec and data is wanted, else empty."""

    @property
    def files(self) -> tuple[Fingerprint, ...]:
        """Every local input file."""
        data = (source.file for source in (*self.train, *self.eval))
        judge = self.reward_model.files if self.reward_model else ()
        found = (*self.model.files, *judge, *(file for file in data if file), *self.reward_files.values())
        return tuple(dict.fromkeys(found))


def inspect(spec: JobSpec, *, folder: Path | str = ".", again: bool = False) -> Facts:
    """Look at what the spec names: files and their hashes, the model's config, this machine.

    Relative paths are taken from `folder`; `again` asks for one more job of the same spec and data. Works offline;
    hashes are cached by path, size and mtime.
    Raises SpecError for what is not there and DataError for data that cannot be read.
    """
    from ftsdk import runtime_archive

    root, home = Path(folder).absolute(), home_dir()
    model = _model(spec.model, root)
    train = _sources(spec.dataset.train, spec, root)
    held_out = _sources(spec.dataset.eval, spec, root)
    unknown = [f"rows of {s.address} (not on this machine)" for s in (*train, *held_out) if s.num_rows is None]
    if model.config is None:
        unknown.append(f"shape of {model.address} (its config.json is not on this machine)")
    return Facts(
        home=str(home),
        folder=str(root),
        model=model,
        train=train,
        eval=held_out,
        runtime=runtime_archive.build(home / "cache"),
        machine=machine(),
        unknown=tuple(unknown),
        lengths=_lengths(spec, model, train),
        prices=own_prices(home),
        reward_model=_model(spec.method.reward_model, root) if spec.method.reward_model else None,
        reward_files=reward_files.find(spec.method, root),
        nonce=secrets.token_hex(8) if again else "",
    )


# --- the model -------------------------------------------------------------------------------------------
def _model(address: str, root: Path) -> ModelFacts:
    if address.startswith("file://"):
        from urllib.request import url2pathname  # brings an HTTP client and e-mail along

        address = url2pathname(urlsplit(address).path)
    if "://" in address:
        found = remote_model.look(address)
        return ModelFacts(
            address=address, kind="remote", base=found.base, files=(), config=found.config, bytes=found.bytes
        )
    if address.startswith("modelscope:"):
        hub_id = address.partition(":")[2]
        return ModelFacts(address=hub_id, kind="modelscope", base=hub_id, files=(), config=None)
    path = (root / Path(address).expanduser()).absolute()
    if path.is_dir():
        return _model_folder(path)
    if address.startswith((".", "/", "~")) or address.count("/") != 1 or path.exists():
        raise SpecError(
            f"model {address!r}: there is no such folder. Give a folder with a config.json, "
            f"a hub id such as Qwen/Qwen3-8B, or modelscope:ORG/NAME."
        )
    return ModelFacts(address=address, kind="hub", base=address, files=(), config=None)


def _model_folder(path: Path) -> ModelFacts:
    files = tuple(fingerprints.of(file) for file in sorted(path.rglob("*")) if file.is_file())
    if (path / "adapter_config.json").is_file():
        base = _base_of(path)
        config = Path(base) / "config.json"
        below = (
            tuple(fingerprints.of(f) for f in sorted(Path(base).rglob("*")) if f.is_file()) if config.is_file() else ()
        )
        shape = _json(config) if config.is_file() else None
        return ModelFacts(address=str(path), kind="path", base=str(base), files=(*files, *below), config=shape)
    if not (path / "config.json").is_file():
        raise SpecError(f"model {path}: the folder has no config.json; give a folder that transformers can load.")
    return ModelFacts(address=str(path), kind="path", base=str(path), files=files, config=_json(path / "config.json"))


def _base_of(adapter: Path) -> str:
    """The model under an adapter. One that we trained says it best: paths inside a container mean nothing here."""
    made_by_us = adapter.parent / contract.JOB_FILE
    named = _json(made_by_us).get("base_model") if made_by_us.is_file() else None
    base = named or _json(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not base:
        raise SpecError(f"model {adapter}: its adapter_config.json names no base model; give the base model instead.")
    return str(base)


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise SpecError(f"{path} cannot be read as JSON ({problem}).") from problem
    if not isinstance(data, dict):
        raise SpecError(f"{path} should hold a JSON object.")
    return data


# --- the data ----------------------------------------------------------------------------------------------
def _sources(addresses: tuple[str, ...], spec: JobSpec, root: Path) -> tuple[SourceFacts, ...]:
    registered = _registered(spec.dataset, root)
    return tuple(source for address in addresses for source in _source(address, spec, registered, root))


def _registered(dataset: Dataset, root: Path) -> dict[str, Any]:
    """Names in the dataset folder's dataset_info.json, their files as absolute paths."""
    if dataset.directory is None:
        return {}
    folder = (root / Path(dataset.directory).expanduser()).absolute()
    path = folder / "dataset_info.json"
    if not path.is_file():
        raise SpecError(f"dataset.directory {dataset.directory!r}: there is no dataset_info.json in {folder}.")
    entries = _json(path)
    return {
        name: {**entry, "file_name": str(folder / entry["file_name"])} if "file_name" in entry else entry
        for name, entry in entries.items()
    }


def _source(address: str, spec: JobSpec, registered: dict[str, Any], root: Path) -> Iterator[SourceFacts]:
    scheme, mark, rest = address.partition("://")
    if scheme in BUCKET_SCHEMES and mark:
        yield _bucket_source(rest, spec.dataset, address)
    elif mark:
        yield _hub_source(scheme, rest, spec.dataset, address)
    elif address in registered:
        yield _registered_source(address, registered[address])
    else:
        yield from (_file_source(path, spec) for path in _files(address, root, registered))


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


def _file_source(path: Path, spec: JobSpec) -> SourceFacts:
    from ftsdk.data.formats import FORMATS, dataset_info_entry
    from ftsdk.data.read import describe_file

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
    )


def _misfit(path: Path, found: str, stage: str) -> str:
    from ftsdk.data.formats import FORMATS

    fitting = " or ".join(name for name, info in FORMATS.items() if stage in info.methods)
    meant = f"its rows are '{found}' ({FORMATS[found].meaning})"
    return f"{path}: method {stage} cannot train on it, {meant}; give '{fitting}' rows, or another method."


def _registered_source(name: str, entry: dict[str, Any]) -> SourceFacts:
    path = Path(entry["file_name"]) if "file_name" in entry else None
    if path is not None and not path.is_file():
        raise SpecError(f"dataset {name!r}: dataset_info.json names {path}, which is not there.")
    return SourceFacts(
        name=name,
        address=str(path or name),
        file=fingerprints.of(path) if path else None,
        entry=entry,
        format=str(entry.get("formatting", "alpaca")),
        num_rows=None,
    )


def _bucket_source(rest: str, dataset: Dataset, address: str) -> SourceFacts:
    from ftsdk.data.formats import dataset_info_entry

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
    from ftsdk.data.formats import dataset_info_entry

    declared = dataset.format or "alpaca"
    entry = dataset_info_entry(declared, dataset.columns, dataset.tags, rest)
    entry[HUB_SCHEMES[scheme]] = entry.pop("file_name")
    name = rest.replace("/", "_")
    return SourceFacts(name=name, address=address, file=None, entry=entry, format=declared, num_rows=None)


def known_files(sources: tuple[SourceFacts, ...]) -> tuple[KnownFile, ...]:
    """The sources that lie on this machine, as the data room takes them."""
    from ftsdk.data.known import KnownFile
    from ftsdk.data.registered import DataFile, from_entry

    def shaped(source: SourceFacts, path: str) -> DataFile:
        told = from_entry(source.entry, path)  # LLaMA-Factory's words have none for prompts alone
        return replace(told, format="prompts") if source.format == "prompts" else told

    return tuple(KnownFile(shaped(s, s.file.path), s.file.sha256) for s in sources if s.file)


def _lengths(spec: JobSpec, model: ModelFacts, train: tuple[SourceFacts, ...]) -> Lengths | None:
    from ftsdk.data import known

    files = known_files(train)
    if not files or len(files) < len(train):
        return None
    hp = spec.hyperparameters
    return known.lengths(
        files,
        method=spec.method.stage,
        tokenizer=None if model.kind == "remote" else model.base,
        cutoff_len=hp.cutoff_len,
        batch_size=hp.per_device_train_batch_size,
    )


# --- this machine --------------------------------------------------------------------------------------------
def machine() -> MachineFacts:
    """Platform, Python and GPUs of this machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    return MachineFacts(platform=sys.platform, python=version, accelerators=_nvidia_gpus())


def _nvidia_gpus() -> tuple[str, ...]:
    """GPU names from nvidia-smi; asked only where a driver is installed, because the program takes a while."""
    import shutil
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None or (sys.platform == "linux" and not Path("/dev/nvidiactl").exists()):
        return ()
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())
