"""Publishing a model: its files without private paths, a card, the public part of its lineage; to a hub or a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from ftsdk import contract
from ftsdk.contract.lineage import LineageRecord
from ftsdk.errors import FtsdkError, SpecError
from ftsdk.models import cleaning, hub
from ftsdk.models.card import model_card
from ftsdk.runtime.storage.base import Store
from ftsdk.storage.records import read_json
from ftsdk.storage.store import BUCKET_SCHEMES, open_store

Contents = Mapping[str, Path | bytes]
"""Name -> a file of this machine, or what is to be written."""
CARD: Final = "README.md"
UNFINISHED: Final = ".ftsdk-push"
"""Key that a push writes first and deletes last; it holds the digest of what is pushed: only the same goes on."""


class Publication(NamedTuple):
    """A model that is to be published."""

    record: LineageRecord
    files: Mapping[str, Path]
    """Name -> the file on this machine."""
    adapter: bool
    base_model: str


def push(model: Publication, to: str, *, private: bool, overwrite: bool) -> str:
    """Publish a model; see `Model.push`."""
    check_target(to)
    contents = public_contents(model, to.rstrip("/").rpartition("/")[2])
    if to.startswith("hf:"):
        return hub.push(contents, to.partition(":")[2], private=private, overwrite=overwrite)
    return _to_store(contents, to, overwrite=overwrite)


def check_target(to: str) -> None:
    """Raise SpecError for a target that names no place or a service that ftsdk does not push to."""
    scheme, _, place = to.partition(":")
    if scheme in ("hf", *BUCKET_SCHEMES) and not place.strip("/"):
        raise SpecError(f"{to!r} names no place: give hf:ORG/NAME, s3://BUCKET/FOLDER or a folder.")
    if scheme in ("modelscope", "oci"):
        schemes = ", ".join(f"{scheme}://" for scheme in BUCKET_SCHEMES)
        raise SpecError(f"{to!r}: ftsdk pushes to hf:ORG/NAME, {schemes} or a folder.")


def public_contents(model: Publication, name: str) -> Contents:
    """Everything that is published of a model. Raises FtsdkError if a file holds a secret."""
    state = model.files.get("trainer_state.json")
    card = model_card(model.record, name=name, adapter=model.adapter, state=state.read_bytes() if state else None)
    public = cleaning.public_record(model.record)
    contents: dict[str, Path | bytes] = {
        **cleaning.public_files(model.files, model.base_model),
        CARD: card.encode(),
        contract.LINEAGE_FILE: json.dumps(public, indent=1, ensure_ascii=False).encode(),
    }
    cleaning.refuse_secrets(contents, model.record.get("spec", {}).get("secrets", ()))
    return contents


def _to_store(contents: Contents, to: str, *, overwrite: bool) -> str:
    """Write to a folder or a bucket; what a push that was killed has left there is not sent again."""
    store = open_store(to if "://" in to else str(Path(to).expanduser().absolute()))
    digest = digest_of(contents)
    there = {item.key: item.bytes for item in store.list()}
    goes_on = UNFINISHED in there and _unfinished(store) == digest
    if there and not goes_on and not overwrite:
        _refuse(store, to)
    store.put(UNFINISHED, json.dumps({"digest": digest}).encode())
    for name, content in contents.items():
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if not (goes_on and there.get(name) == size):
            _put(store, name, content)
    store.delete(UNFINISHED)
    return store.uri


def _refuse(store: Store, to: str) -> None:
    is_ours = read_json(store, contract.LINEAGE_FILE) is not None
    what = "holds a model already" if is_ours else "is not empty"
    raise FtsdkError(f"{to} {what}: push to another place, or replace the files of the same names with --overwrite.")


def _unfinished(store: Store) -> str | None:
    note = read_json(store, UNFINISHED)
    return note.get("digest") if isinstance(note, dict) else None


def _put(store: Store, name: str, content: Path | bytes) -> None:
    if isinstance(content, bytes):
        store.put(name, content)
    else:
        store.put_file(name, content)


def digest_of(contents: Contents) -> str:
    """Changes with every name, size and text; the weights are covered by the hashes in the lineage."""
    parts = sorted(
        (name, hashlib.sha256(c).hexdigest() if isinstance(c, bytes) else str(c.stat().st_size))
        for name, c in contents.items()
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
