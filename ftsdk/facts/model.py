"""The base model: its files, its config, and the model under an adapter."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import cast

from ftsdk import contract
from ftsdk.contract.lineage import LineageRecord
from ftsdk.errors import SpecError
from ftsdk.facts.facts import ModelFacts
from ftsdk.facts.json_files import json_object
from ftsdk.facts.remote_model import BucketAccess, inspect_remote_model
from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.storage import fingerprints
from ftsdk.storage.fingerprints import Fingerprint
from ftsdk.storage.store import split_address

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
TOKENIZERS = frozenset(
    {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"}
)


def inspect_model(address: str, root: Path, access: BucketAccess | None = None) -> ModelFacts:
    """The model at an address; `root` is the folder of relative paths. Raises SpecError if there is none."""
    if address.startswith("file://"):
        from urllib.request import url2pathname  # brings an HTTP client and e-mail along

        address = url2pathname(split_address(address).path)
    if address.startswith(("https://", "http://")):
        name = "/".join(split_address(address).path.strip("/").split("/")[:2])
        raise SpecError(f"model {address!r} is a web page: give the model's hub id, such as {name or 'Qwen/Qwen3-8B'}.")
    if "://" in address:
        return _remote(address, access)
    if address.startswith("modelscope:"):
        return ModelFacts(address=address, kind="modelscope", base=address, files=(), config=None)
    path = (root / Path(address).expanduser()).absolute()
    if path.is_dir():
        return _folder(path)
    if address.startswith((".", "/", "~")) or address.count("/") != 1 or path.exists():
        raise SpecError(
            f"model {address!r}: there is no such folder. Give a folder with a config.json, "
            f"a hub id such as Qwen/Qwen3-8B, or modelscope:ORG/NAME."
        )
    return ModelFacts(address=address, kind="hub", base=address, files=(), config=None)


def _remote(address: str, access: BucketAccess | None) -> ModelFacts:
    """A model in a bucket. An adapter's base may be a folder of this machine, where the adapter's job came from."""
    remote = inspect_remote_model(address, access)
    files: tuple[Fingerprint, ...] = ()
    config = remote.config
    if remote.base != address and (base := Path(remote.base)).is_absolute():
        if not (base / "config.json").is_file():
            raise SpecError(
                f"model {address}: its base model {base} is not on this machine; "
                f"put it there, or name another base in the adapter's adapter_config.json."
            )
        files, config = _files(base), _config(base / "config.json")
    return ModelFacts(
        address=address,
        kind="remote",
        base=remote.base,
        files=files,
        config=config,
        bytes=remote.bytes,
        base_bytes=remote.base_bytes,
        lineage=remote.lineage,
    )


def _files(folder: Path) -> tuple[Fingerprint, ...]:
    """Every file but the lineage record and a version control's own.

    What is learnt from a model does not depend on when it was made, and `.git` holds its weights a second time.
    """
    record = str(folder / contract.LINEAGE_FILE)
    files = (file for file in fingerprints.below(folder, "model") if file.path != record)
    return tuple(file for file in files if not Path(file.path).relative_to(folder).parts[0].startswith(".git"))


def _config(path: Path) -> ModelConfig:
    return cast(ModelConfig, json_object(path))


def _lineage(folder: Path) -> LineageRecord | None:
    record = folder / contract.LINEAGE_FILE
    return cast(LineageRecord, json_object(record)) if record.is_file() else None


def _folder(path: Path) -> ModelFacts:
    if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):  # before all is hashed
        if any(path.glob("*.gguf")):
            raise SpecError(f"model {path}: its GGUF files are for llama.cpp; give the model that they were made from.")
        raise SpecError(f"model {path}: the folder has no config.json; give a folder that transformers can load.")
    files = _files(path)
    if (path / "adapter_config.json").is_file():
        base = _base_of_adapter(path)
        config = Path(base) / "config.json"
        below = _files(Path(base)) if config.is_file() else ()
        shape = _config(config) if config.is_file() else None
        return ModelFacts(
            address=str(path), kind="path", base=str(base), files=(*files, *below), config=shape, lineage=_lineage(path)
        )
    return ModelFacts(
        address=str(path),
        kind="path",
        base=str(path),
        files=files,
        config=_config(path / "config.json"),
        lineage=_lineage(path),
    )


def _base_of_adapter(adapter: Path) -> str:
    """The model under an adapter, as our job's document names it, because the config may name a path in a container."""
    made_by_us = adapter.parent / contract.JOB_FILE
    named = json_object(made_by_us).get("base_model") if made_by_us.is_file() else None
    base = named or json_object(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not base:
        raise SpecError(f"model {adapter}: its adapter_config.json names no base model; give the base model instead.")
    return str(base)


def refuse_incomplete(model: ModelFacts, *, needs_weights: bool = True) -> None:
    """Raise SpecError for a folder without weights or without a tokenizer; models elsewhere cannot be looked at.

    `needs_weights` is False where the trainer initializes them (`train_from_scratch`).
    """
    own = [PurePath(file.path) for file in model.files]
    for folder in dict.fromkeys((model.address, model.base)):
        names = [path.name for path in own if path.is_relative_to(folder)]
        if model.kind == "path" and names:
            _refuse_lacking(folder, names, is_adapter=folder != model.base, needs_weights=needs_weights)


def _refuse_lacking(folder: str, names: Iterable[str], *, is_adapter: bool, needs_weights: bool) -> None:
    if needs_weights and not any(name.endswith(WEIGHTS) for name in names):
        raise SpecError(
            f"model {folder}: the folder has no weights (*.safetensors or *.bin); download the model again, or give "
            f"its hub id."
        )
    if not is_adapter and TOKENIZERS.isdisjoint(names):
        raise SpecError(
            f"model {folder}: the folder has no tokenizer (tokenizer.json or tokenizer.model); copy it from the "
            f"model's repository, or give its hub id."
        )
