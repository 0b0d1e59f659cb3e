"""Model: the result of a job, its address and its origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ftsdk import contract
from ftsdk.contract.documents import JobDocument
from ftsdk.errors import DataError, FtsdkError, JobFailedError
from ftsdk.runtime.storage.base import OnBytes, Store, ignore_bytes
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.runtime.storage.names import UnsafeNameError, relative_parts
from ftsdk.storage import records
from ftsdk.storage.store import download
from ftsdk.terminal import notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A handle on a finished job's model. Holds no weights; `download` copies them."""

    uri: str
    """Address of the model's folder; another job takes it as its `model`."""
    job_uri: str
    base_model: str
    """The model before the training; needed to load an adapter."""
    adapter: bool
    """True if the folder holds an adapter and not a whole model."""
    digest: str
    """Digest of the spec and the data of its job."""
    files: dict[str, int]
    """File name -> bytes."""
    store: Store = field(repr=False)

    def _repr_html_(self) -> str:
        """The model in a notebook."""
        return notebook.table(
            self.uri,
            {
                "job": self.job_uri,
                "base model": self.base_model,
                "kind": "adapter" if self.adapter else "whole model",
                "files": len(self.files),
                "size": f"{self.bytes / 1e6:.1f} MB",
            },
        )

    @property
    def path(self) -> Path | None:
        """The folder, if it lies on this machine."""
        return self.store.path(contract.MODEL_DIR) if isinstance(self.store, FolderStore) else None

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(self.files.values())

    def download(self, folder: Path | str, *, on_bytes: OnBytes = ignore_bytes) -> Path:
        """Copy the model's files into a folder and return it.

        `on_bytes` is called with the number of bytes just copied.
        """
        target = Path(folder)
        try:
            for name, size in self.files.items():
                download(self.store, f"{contract.MODEL_DIR}/{name}", target / name, on_bytes)
                if (copied := (target / name).stat().st_size) != size:
                    raise FtsdkError(f"{target / name} came with {copied} bytes instead of {size}: download it again.")
        except OSError as problem:
            raise FtsdkError(f"The model cannot be written to {target} ({problem.strerror}).") from problem
        return target


def open_model(store: Store, job_uri: str, document: JobDocument) -> Model:
    """The model in a job's durable folder. Raises JobFailedError if none was published."""
    prefix = f"{contract.MODEL_DIR}/"
    committed = records.read_json(store, prefix + contract.COMMIT_FILE)
    if committed is None:
        raise JobFailedError(f"Job {job_uri} has published no model; `ftsdk status {job_uri}` says why.")
    ours = {contract.COMMIT_FILE, contract.manifest_key(0)}
    files = {_checked(item.key.removeprefix(prefix), store): item.bytes for item in store.list(prefix)}
    return Model(
        uri=f"{store.uri.rstrip('/')}/{contract.MODEL_DIR}",
        job_uri=job_uri,
        base_model=document["base_model"],
        adapter="adapter_config.json" in files,
        digest=document["digest"],
        files={name: size for name, size in files.items() if name not in ours},
        store=store,
    )


def _checked(name: str, store: Store) -> str:
    """A file's name, which becomes a path of this machine. Raises DataError for one that leads out of the folder."""
    try:
        return "/".join(relative_parts(name))
    except UnsafeNameError as problem:
        raise DataError(f"{store.uri} holds a file that no training wrote ({problem}): look at it there.") from None
