"""Data files in a bucket, brought here to be looked at: once, and anew when the file there has another size."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatch
from pathlib import Path

from ftsdk.errors import SpecError
from ftsdk.home import home_dir
from ftsdk.runtime.storage.base import ObjectInfo, Store
from ftsdk.storage.store import BUCKET_SCHEMES, open_store

WILD = "*?["


def is_remote(address: str) -> bool:
    """Whether an address is one in a bucket."""
    scheme, mark, _ = address.partition("://")
    return bool(mark) and scheme in BUCKET_SCHEMES


def fetched(address: str) -> list[Path]:
    """Local copies of a file, of a folder's data files, or of what a pattern matches, in the order of their keys.

    Raises SpecError if there is nothing at the address, AuthError and UnavailableError from the storage.
    """
    folder, name = _split(address)
    store = open_store(folder)
    found = [item for item in store.list() if _is_meant(item, name)]
    if not found:
        raise SpecError(f"{address}: there is no such file; give a file, a folder with / at its end, or a pattern.")
    target = home_dir() / "cache" / "data" / hashlib.sha256(folder.encode()).hexdigest()[:16]
    return [_copy(store, item, target) for item in found]


def _split(address: str) -> tuple[str, str]:
    """(folder, name or pattern in it); the name is empty for a folder."""
    folder, _, name = address.rpartition("/")
    return folder, name


def _is_meant(item: ObjectInfo, name: str) -> bool:
    if "/" in item.key or item.key.startswith("."):
        return False
    return fnmatch(item.key, name) if any(mark in name for mark in WILD) else name in ("", item.key)


def _copy(store: Store, item: ObjectInfo, folder: Path) -> Path:
    from ftsdk.terminal.progress import byte_bar

    target = folder / item.key
    if not target.is_file() or target.stat().st_size != item.bytes:
        part = target.with_name(f".{item.key}.part")
        with byte_bar(f"Fetching {item.key}", item.bytes) as on_bytes:
            store.fetch(item.key, part, on_bytes)
        part.replace(target)
    return target
