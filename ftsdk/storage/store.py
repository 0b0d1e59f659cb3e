"""Opening storage by its address, and downloading from it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ftsdk.contract.documents import Storage
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.runtime.storage.base import OnBytes, Store, ignore_bytes
from ftsdk.runtime.storage.folder import FolderStore

BUCKET_SCHEMES = ("s3", "oss", "gs")


def open_store(uri: str, storage: Storage | None = None) -> Store:
    """The store at an address. No request is made yet.

    Args:
        uri: a folder, `file://…`, or a bucket's `s3://…`, `oss://…`, `gs://…`.
        storage: how to reach a bucket; what it does not say comes from the environment (AWS_ENDPOINT_URL,
            AWS_REGION, OSS_REGION …). Credentials are found as each cloud's own tools find them.

    Raises UnsupportedError for an unknown scheme and NotInstalledError without the extra `storage`.
    """
    parts = split_address(uri)
    if parts.scheme == "file":
        from urllib.request import url2pathname

        return FolderStore(url2pathname(parts.path))
    if "://" not in uri:
        return FolderStore(uri)
    if parts.scheme in BUCKET_SCHEMES:
        from ftsdk.storage.objects import ObjectStore

        return ObjectStore(uri, storage or {})
    raise UnsupportedError(
        f"Storage {parts.scheme}:// is not supported; use a folder, {', '.join(f'{s}://' for s in BUCKET_SCHEMES)}."
    )


def split_address(uri: str) -> SplitResult:
    """The parts of an address. Raises SpecError for one that is none, such as `s3://[::1`."""
    try:
        return urlsplit(uri)
    except ValueError as problem:
        raise SpecError(f"{uri!r} is no address ({problem}): write a folder, or SCHEME://BUCKET/FOLDER.") from None


def download(store: Store, key: str, target: Path, on_bytes: OnBytes = ignore_bytes) -> None:
    """Copy an object to a local file, which appears whole or not at all. Raises FileNotFoundError if missing."""
    part = target.with_name(f".part-{target.name}")
    try:
        store.fetch(key, part, on_bytes)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
