"""Downloading a model: into a hidden folder first, verified, then moved to its place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ftsdk import contract
from ftsdk.errors import FtsdkError
from ftsdk.models.lineage import manifest, read_folder
from ftsdk.runtime.storage.base import OnBytes, Store
from ftsdk.storage.store import download

PART: Final = ".ftsdk-part"
"""A folder that holds what has come so far; one that a killed download left is deleted by the next."""


def download_model(store: Store, files: Mapping[str, int], target: Path, *, overwrite: bool, on_bytes: OnBytes) -> Path:
    """Copy the files of a job's model to a folder; see `Model.download`."""
    check_target(target, overwrite=overwrite)
    part = target / PART if target.is_dir() else target.absolute().with_name(f"{PART}-{target.absolute().name}")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _copy(store, files, part, on_bytes)
        _move(part, target)
    except OSError as problem:
        raise FtsdkError(f"The model cannot be written to {target} ({problem.strerror or problem}).") from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise FtsdkError for a target that is a file, or a folder with files that may not be replaced."""
    if target.exists() and not target.is_dir():
        raise FtsdkError(f"{target} is a file: name a folder to download to.")
    if not overwrite and target.is_dir() and any(path.name != PART for path in target.iterdir()):
        raise FtsdkError(
            f"{target} is not empty: name another folder, or replace the files of an earlier model with --overwrite "
            f"(overwrite=True in Python)."
        )


def _copy(store: Store, files: Mapping[str, int], part: Path, on_bytes: OnBytes) -> None:
    listed = manifest(store)
    for name, size in files.items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        download(store, f"{contract.MODEL_DIR}/{name}", part / name, on_bytes)
        _verify(part / name, size, listed[name]["sha256"] if name in listed else None)


def _verify(path: Path, size: int, sha256: str | None) -> None:
    """Compare a file with what the job stored; the lineage record itself is not listed, so its size must do."""
    if (copied := path.stat().st_size) != size:
        raise FtsdkError(f"{path.name} came with {copied} bytes instead of {size}: download it again.")
    if sha256 is None:
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise FtsdkError(
                f"{path.name} is not what the job stored (its SHA-256 differs): download it again; if that does not "
                f"help, the stored model is damaged and has to be trained again (`ftsdk submit --again`)."
            )


def _move(part: Path, target: Path) -> None:
    """Put the files in their place; those of an earlier model go, whatever else is there stays."""
    if not target.exists():
        part.rename(target)
        return
    previous = (read_folder(target) or {}).get("files", {})
    for name in previous:
        if (path := target / name).resolve().is_relative_to(target.resolve()):
            path.unlink(missing_ok=True)
    for path in [path for path in part.rglob("*") if path.is_file()]:
        place = target / path.relative_to(part)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
