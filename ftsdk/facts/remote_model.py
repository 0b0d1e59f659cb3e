"""A base model in a bucket: its size, its config, and the model under an adapter."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from ftsdk import contract
from ftsdk.contract.documents import Storage
from ftsdk.contract.foreign import JsonObject
from ftsdk.contract.lineage import LineageRecord
from ftsdk.errors import SpecError
from ftsdk.sizing.architecture.config_json import ModelConfig

if TYPE_CHECKING:
    from ftsdk.runtime.storage.bucket import BucketStore

BucketAccess: TypeAlias = Mapping[str, Storage]
"""Scheme, such as `s3` -> how a backend reaches the buckets of its region."""
RETRY_S: Final = 5.0
"""A plan works without a network: a bucket that does not answer is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """Size, config and base of a remote model; None is unknown."""

    base: str
    """The model under an adapter; else the address itself."""
    bytes: int | None = None
    base_bytes: int | None = None
    """Of the model under an adapter, if that is in a bucket, too."""
    config: ModelConfig | None = None
    lineage: LineageRecord | None = None
    """The record of a model that ftsdk made."""


def inspect_remote_model(address: str, access: BucketAccess | None = None) -> RemoteModel:
    """Inspect a folder in a bucket; what cannot be reached or read is unknown.

    Buckets are reached as `access` says, where it names the scheme, else as the environment says.
    Raises SpecError for a folder without files, and for an archive.
    """
    from ftsdk.storage.archives import is_archive

    if is_archive(address):
        raise SpecError(
            f"model {address!r} is an archive: unpack it by `ftsdk model {address} --download FOLDER` "
            "and give the folder."
        )

    scheme = address.partition("://")[0]
    for storage in (*((access[scheme],) if access and scheme in access else ()), Storage()):
        try:
            inspected = _inspect(address, storage)
        except (OSError, ValueError, ImportError):  # unreachable, no bucket's address, or no library for it
            continue
        if inspected is None:
            raise SpecError(
                f"model {address!r}: there is no such folder; give the address of a folder with a config.json."
            )
        return inspected
    return RemoteModel(base=address)


def _inspect(address: str, storage: Storage) -> RemoteModel | None:
    """None for a folder without files. Raises OSError and ValueError for a bucket that cannot be read."""
    from ftsdk.runtime.storage.bucket import BucketStore

    bucket = BucketStore(address, storage, os.environ, retry_s=RETRY_S)
    files = dict(bucket.list())
    if not files:
        return None
    config = _json(bucket, "config.json") if "config.json" in files else None
    lineage = _json(bucket, contract.LINEAGE_FILE) if contract.LINEAGE_FILE in files else None
    base = _base(bucket, address, storage) if "adapter_config.json" in files else address
    size = sum(files.values())
    base_size = size if base == address else _size(base, storage)
    return RemoteModel(
        base=base,
        bytes=size,
        base_bytes=base_size,
        config=cast("ModelConfig | None", config),
        lineage=cast("LineageRecord | None", lineage),
    )


def _size(address: str, storage: Storage) -> int | None:
    """Bytes of a folder's files; None if it is in no bucket, or not known."""
    from ftsdk.runtime.storage.bucket import BucketStore

    try:
        return sum(item.bytes for item in BucketStore(address, storage, os.environ, retry_s=RETRY_S).list()) or None
    except (OSError, ValueError):
        return None


def _base(bucket: BucketStore, address: str, storage: Storage) -> str:
    """From our job's document, because the adapter's own config names a path inside a container."""
    from ftsdk.runtime.storage.bucket import BucketStore

    above = address.rstrip("/").rpartition("/")[0]
    try:
        named = _json(BucketStore(above, storage, os.environ, retry_s=RETRY_S), contract.JOB_FILE).get("base_model")
    except (OSError, ValueError):
        named = None
    return str(named or _json(bucket, "adapter_config.json").get("base_model_name_or_path") or address)


def _json(bucket: BucketStore, key: str) -> JsonObject:
    value = json.loads(bucket.read(key))
    if not isinstance(value, dict):
        raise ValueError(f"{key} holds no object")
    return value
