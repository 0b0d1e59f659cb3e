"""The values that `inspect` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ftsdk.contract.documents import DatasetEntry
from ftsdk.contract.lineage import GitState, LineageRecord
from ftsdk.data.tokens.tokenizer import TokenizerFacts
from ftsdk.facts.platforms import Platforms
from ftsdk.facts.runtime_archive import RuntimeArchive
from ftsdk.facts.start import StartFacts
from ftsdk.facts.weights import ModelModules
from ftsdk.runtime.chat_templates.comparing import OwnTemplate
from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.sizing.price.prices import Prices
from ftsdk.storage.fingerprints import Fingerprint

if TYPE_CHECKING:
    from ftsdk.data.cache import Lengths
    from ftsdk.data.statistics.row_features import RowFeatures
    from ftsdk.data.statistics.truncation import Truncation


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The base model, as far as it can be inspected from this machine."""

    address: str
    """A folder's absolute path, a hub id, `modelscope:ORG/NAME`, or another address."""
    kind: str
    """path, hub, modelscope or remote."""
    base: str
    """The model under an adapter folder; else the same as `address`."""
    files: tuple[Fingerprint, ...]
    config: ModelConfig | None
    """The model's config.json; None if it cannot be read from here."""
    tokenizer: TokenizerFacts | None = None
    """None if its files are not on this machine."""
    chat_template: OwnTemplate | None = None
    """The texts of its chat template; None if it has none, or its files are not on this machine."""
    modules: ModelModules | None = None
    """Names of the base model's modules; None if its weights are not on this machine."""
    bytes: int | None = None
    """Size of a remote model's files; None if it is not remote, or not known."""
    base_bytes: int | None = None
    """The same of the model under a remote adapter."""
    lineage: LineageRecord | None = None
    """`LineageRecord` of a model that ftsdk made; None for any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """This machine."""

    platform: str
    python: str
    accelerators: tuple[str, ...]
    """Names of the NVIDIA GPUs, empty without one."""
    memory_gib: float | None = None
    """Main memory; None where the system does not say it."""


PROGRAM_FILE: Final = "program.file"
"""Argument of the Python file that is a job's program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file or folder that travels with the job beside the model and the data files."""

    path: str
    """Absolute; the trainer gets its path inside the job."""
    files: tuple[Fingerprint, ...]
    argument: str = ""
    """The trainer's argument that names it; empty for a folder of data files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """One data source: a local file, or a name on a hub."""

    name: str
    """Its name in the trainer's dataset_info.json."""
    address: str
    """As written in the spec; a file as an absolute path."""
    file: Fingerprint | None
    """None if it is not on this machine."""
    entry: DatasetEntry
    """LLaMA-Factory's dataset_info.json entry; `file_name` is the absolute path here."""
    format: str
    num_rows: int | None
    """None if unknown."""
    attached: Attached | None = None
    """A folder of data files instead of one file, or the folder of media that the rows name."""
    original: Fingerprint | None = None
    """The named file, where `file` is a conversion of it; the job's name depends on the named one."""
    unused: tuple[str, ...] = ()
    """Columns and message fields that the training does not use, with their counts."""
    truncation: Truncation | None = None
    """How many rows `cutoff_len` truncates; None if unknown."""
    row_features: RowFeatures | None = None
    """What the first rows ask the training for; None for text and for rows that are not on this machine."""
    contents: frozenset[str] = frozenset()
    """Of `tools`, `image`, `video`, `audio`, what the first rows contain."""

    @property
    def is_here(self) -> bool:
        """Whether the rows are on this machine."""
        return self.file is not None or self.attached is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that `plan` knows of the world outside the spec."""

    home: str
    folder: str
    """Folder against which relative paths are resolved."""
    model: ModelFacts
    train: tuple[SourceFacts, ...]
    eval: tuple[SourceFacts, ...]
    runtime: RuntimeArchive
    machine: MachineFacts
    unknown: tuple[str, ...]
    """What could not be determined, a sentence each."""
    lengths: Lengths | None = None
    """Token lengths of the training rows; None if they are not on this machine."""
    prices: Prices = field(default_factory=dict)
    """The user's own price file; empty without one."""
    reward_model: ModelFacts | None = None
    """The model that scores answers, if the method has one."""
    against: ModelFacts | None = None
    """The model that an evaluation compares with, unless it is the base model."""
    reward_files: dict[str, Fingerprint] = field(default_factory=dict)
    """Files with reward functions, by their paths as `method.rewards` writes them."""
    reward_imports: dict[str, dict[str, Fingerprint]] = field(default_factory=dict)
    """Absolute path of a file with reward functions -> the files that it imports, by their paths relative to it."""
    nonce: str = ""
    """Random to start one more job of the same spec and data, else empty."""
    git: GitState | None = None
    """The repository of `folder`; None if it is in none."""
    start: StartFacts | None = None
    """The checkpoint that the job starts from."""
    arguments: tuple[Attached, ...] = ()
    """Files and folders that the trainer's arguments name."""
    platforms: Platforms = field(default_factory=dict)
    """What `ftsdk doctor` has learnt of the user's accounts and machines."""

    @property
    def attached(self) -> tuple[Attached, ...]:
        """Every file and folder that travels beside the model and the data files, each once."""
        media = (source.attached for source in (*self.train, *self.eval) if source.attached)
        start = (Attached(path=self.start.path, files=self.start.files),) if self.start else ()
        return tuple({item.path: item for item in (*self.arguments, *media, *start)}.values())

    @property
    def models(self) -> dict[str, ModelFacts]:
        """Role -> model: `model`, and where there are such, `reward` (it scores answers) and `against`."""
        roles = {"model": self.model, "reward": self.reward_model, "against": self.against}
        return {role: model for role, model in roles.items() if model is not None}

    @property
    def remote_models(self) -> dict[str, int | None]:
        """Address of each model and base model in a bucket -> bytes, None if unknown."""
        sized = (pair for m in self.models.values() for pair in ((m.base, m.base_bytes), (m.address, m.bytes)))
        return {address: size for address, size in sized if "://" in address}

    @property
    def files(self) -> tuple[Fingerprint, ...]:
        """Every local input file, each once."""
        sources = (*self.train, *self.eval)
        models = (file for model in self.models.values() for file in model.files)
        data = (source.file for source in sources if source.file)
        attached = (file for item in self.attached for file in item.files)
        imported = (file for files in self.reward_imports.values() for file in files.values())
        own = (*self.reward_files.values(), *imported)
        return tuple(dict.fromkeys((*models, *data, *attached, *own)))
