"""Local copies of data files in a bucket: downloaded once, and again when the size of the object has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatch
from pathlib import Path

from ftsdk.errors import SpecError
from ftsdk.home import home_dir
from ftsdk.runtime.storage.base import ObjectInfo, Store
from ftsdk.storage.store import BUCKET_SCHEMES, open_store

WILDCARDS = "*?["
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opened with a label and a number of bytes; the function inside is called with the bytes just transferred."""


def no_progress(_label: str, _total_bytes: int) -> AbstractContextManager[Callable[[int], None]]:
    """Shows nothing."""
    return nullcontext(lambda _done: None)


def is_remote(address: str) -> bool:
    """Whether an address is in a bucket."""
    scheme, mark, _ = address.partition("://")
    return bool(mark) and scheme in BUCKET_SCHEMES


def fetch(address: str, *, progress: Progress = no_progress) -> list[Path]:
    """Local copies of a file, of a folder's data files, or of a pattern's matches, in the order of their keys.

    `progress` is opened for each download, for example `terminal.progress.byte_bar`.

    Raises SpecError if there is nothing at the address, AuthError and UnavailableError from the storage.
    """
    folder, _, name = address.rpartition("/")  # no name for a folder
    store = open_store(folder)
    items = [item for item in store.list() if _matches(item, name)]
    if not items:
        raise SpecError(f"{address}: there is no such file; give a file, a folder with / at its end, or a pattern.")
    target = home_dir() / "cache" / "data" / hashlib.sha256(folder.encode()).hexdigest()[:16]
    return [_copy(store, item, target, progress) for item in items]


def _matches(item: ObjectInfo, name: str) -> bool:
    if "/" in item.key or item.key.startswith("."):
        return False
    return fnmatch(item.key, name) if any(mark in name for mark in WILDCARDS) else name in ("", item.key)


def _copy(store: Store, item: ObjectInfo, folder: Path, progress: Progress) -> Path:
    target = folder / item.key
    if not target.is_file() or target.stat().st_size != item.bytes:
        part = target.with_name(f".{item.key}.part")
        with progress(f"Fetching {item.key}", item.bytes) as on_bytes:
            store.fetch(item.key, part, on_bytes)
        part.replace(target)
    return target
