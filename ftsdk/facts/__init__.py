"""inspect(spec) -> Facts: the only step that looks at the world. What it cannot see it names as unknown."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ftsdk import contract
from ftsdk.data.tokens.tokenizer import TokenizerFacts, tokenizer_facts
from ftsdk.errors import SpecError
from ftsdk.facts import remote_model, reward_files
from ftsdk.facts.runtime_archive import RuntimeArchive
from ftsdk.facts.sources import Attached, SourceFacts, arguments_of, json_object, sources_of
from ftsdk.home import home_dir
from ftsdk.sizing.price.price_file import own_prices
from ftsdk.sizing.price.prices import Prices
from ftsdk.spec import JobSpec
from ftsdk.storage import fingerprints
from ftsdk.storage.fingerprints import Fingerprint

if TYPE_CHECKING:
    from ftsdk.data.statistics.cached import KnownFile, Lengths


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
    tokenizer: TokenizerFacts | None = None
    """None if its files are not on this machine."""
    bytes: int | None = None
    """Size of a remote model's files; None if it is not remote, or not known."""
    base_bytes: int | None = None
    """The same of the model under a remote adapter."""


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
    arguments: tuple[Attached, ...] = ()
    """Files and folders that the trainer's arguments name."""

    @property
    def attached(self) -> tuple[Attached, ...]:
        """Every file and folder that travels beside the model and the data files, each once."""
        media = (source.attached for source in (*self.train, *self.eval) if source.attached)
        return tuple({item.path: item for item in (*self.arguments, *media)}.values())

    @property
    def files(self) -> tuple[Fingerprint, ...]:
        """Every local input file, each once."""
        sources = (*self.train, *self.eval)
        beside = (*self.arguments, *(source.attached for source in sources if source.attached))
        judge = self.reward_model.files if self.reward_model else ()
        data = (source.file for source in sources if source.file)
        attached = (file for item in beside for file in item.files)
        return tuple(dict.fromkeys((*self.model.files, *judge, *data, *attached, *self.reward_files.values())))


def inspect(spec: JobSpec, *, folder: Path | str = ".", again: bool = False) -> Facts:
    """Look at what the spec names: files and their hashes, the model's config, this machine.

    Relative paths are taken from `folder`; `again` asks for one more job of the same spec and data. Works offline;
    hashes are cached by path, size and mtime.
    Raises SpecError for what is not there and DataError for data that cannot be read.
    """
    from ftsdk.facts import runtime_archive

    root, home = Path(folder).absolute(), home_dir()
    model = _model(spec.model, root)
    train = sources_of(spec.dataset.train, spec, root)
    held_out = sources_of(spec.dataset.eval, spec, root)
    unknown = [f"rows of {s.address} (not on this machine)" for s in (*train, *held_out) if s.num_rows is None]
    if model.config is None:
        unknown.append(f"shape of {model.address} (its config.json is not on this machine)")
    model = replace(model, tokenizer=tokenizer_facts(model.base) if model.kind in ("path", "hub") else None)
    train, held_out = (_with_cuts(sources, model, spec) for sources in (train, held_out))
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
        arguments=arguments_of(spec, root),
    )


# --- the model -------------------------------------------------------------------------------------------
def _model(address: str, root: Path) -> ModelFacts:
    if address.startswith("file://"):
        from urllib.request import url2pathname  # brings an HTTP client and e-mail along

        address = url2pathname(urlsplit(address).path)
    if address.startswith(("https://", "http://")):
        name = "/".join(urlsplit(address).path.strip("/").split("/")[:2])
        raise SpecError(f"model {address!r} is a web page: give the model's hub id, such as {name or 'Qwen/Qwen3-8B'}.")
    if "://" in address:
        return _remote(address)
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


def _remote(address: str) -> ModelFacts:
    """A model in a bucket. An adapter's base may be a folder of this machine, where the adapter's job came from."""
    found = remote_model.look(address)
    files: tuple[Fingerprint, ...] = ()
    config = found.config
    if found.base != address and (base := Path(found.base)).is_absolute():
        if not (base / "config.json").is_file():
            raise SpecError(
                f"model {address}: this adapter stands on {base}, and there is no such model on this machine; "
                f"put it there, or name another base in the adapter's adapter_config.json."
            )
        files, config = _files(base), json_object(base / "config.json")
    return ModelFacts(
        address=address,
        kind="remote",
        base=found.base,
        files=files,
        config=config,
        bytes=found.bytes,
        base_bytes=found.base_bytes,
    )


def _files(folder: Path) -> tuple[Fingerprint, ...]:
    return tuple(fingerprints.of(file) for file in sorted(folder.rglob("*")) if file.is_file())


def _model_folder(path: Path) -> ModelFacts:
    files = _files(path)
    if (path / "adapter_config.json").is_file():
        base = _base_of(path)
        config = Path(base) / "config.json"
        below = _files(Path(base)) if config.is_file() else ()
        shape = json_object(config) if config.is_file() else None
        return ModelFacts(address=str(path), kind="path", base=str(base), files=(*files, *below), config=shape)
    if not (path / "config.json").is_file():
        raise SpecError(f"model {path}: the folder has no config.json; give a folder that transformers can load.")
    return ModelFacts(
        address=str(path), kind="path", base=str(path), files=files, config=json_object(path / "config.json")
    )


def _base_of(adapter: Path) -> str:
    """The model under an adapter. One that we trained says it best: paths inside a container mean nothing here."""
    made_by_us = adapter.parent / contract.JOB_FILE
    named = json_object(made_by_us).get("base_model") if made_by_us.is_file() else None
    base = named or json_object(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not base:
        raise SpecError(f"model {adapter}: its adapter_config.json names no base model; give the base model instead.")
    return str(base)


# --- the data ----------------------------------------------------------------------------------------------
def known_files(sources: tuple[SourceFacts, ...]) -> tuple[KnownFile, ...]:
    """The sources that lie on this machine, as the data room takes them."""
    from ftsdk.data.formats.registered import DataFile, from_entry
    from ftsdk.data.statistics.cached import KnownFile

    def shaped(source: SourceFacts, path: str) -> DataFile:
        told = from_entry(source.entry, path)  # LLaMA-Factory's words have none for prompts alone
        return replace(told, format="prompts") if source.format == "prompts" else told

    return tuple(KnownFile(shaped(s, s.file.path), s.file.sha256) for s in sources if s.file)


def _with_cuts(sources: tuple[SourceFacts, ...], model: ModelFacts, spec: JobSpec) -> tuple[SourceFacts, ...]:
    """The sources with what `cutoff_len` cuts from their rows, counted with the model's tokenizer if it is here."""
    from ftsdk.data.statistics import cached

    if spec.method.stage == "pt":
        return sources
    tokenizer = model.base if model.tokenizer else None
    limit = spec.hyperparameters.cutoff_len
    return tuple(
        replace(source, cut=cached.cut(known_files((source,))[0], tokenizer=tokenizer, cutoff_len=limit))
        if source.file else source
        for source in sources
    )  # fmt: skip


def _lengths(spec: JobSpec, model: ModelFacts, train: tuple[SourceFacts, ...]) -> Lengths | None:
    from ftsdk.data.statistics import cached

    files = known_files(train)
    if not files or len(files) < len(train):
        return None
    hp = spec.hyperparameters
    return cached.lengths(
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
