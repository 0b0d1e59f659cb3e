"""Uploads of a plan, before the job starts. Files that are already in the bucket are not sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path

from ftsdk.contract.documents import Storage
from ftsdk.errors import DataError, FtsdkError
from ftsdk.runtime.storage.base import OnBytes
from ftsdk.storage import fingerprints
from ftsdk.storage.objects import ObjectStore
from ftsdk.storage.transfers import Upload

FILES_AT_ONCE = 4
Bar = Callable[[str, int], AbstractContextManager[OnBytes]]
"""Opens a progress display for a label and a number of bytes; the function it gives is called as bytes are sent."""


def staged_address(prefix: str, sha256: str, name: str) -> str:
    """Address of a file below a staging prefix, by its content: the same content is never sent twice."""
    return f"{prefix.rstrip('/')}/{sha256}/{name}"


def stage(uploads: Sequence[Upload], storage: Storage, bar: Bar) -> int:
    """Upload files to their targets in a bucket; returns the number of bytes sent.

    A target whose address holds the file's SHA-256 (see `staged_address`) is skipped if it exists with the right
    size: objects appear whole or not at all, so after a kill only the missing files are sent.

    Raises SpecError or DataError for a file that is missing or has changed since the plan was made, AuthError and
    UnavailableError from the storage.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        uploaded = list(pool.map(lambda upload: _is_uploaded(upload, storage), uploads))
    missing = [upload for upload, is_uploaded in zip(uploads, uploaded, strict=True) if not is_uploaded]
    total = sum(upload.bytes for upload in missing)
    if missing:
        with bar(f"Uploading {len(missing)} file{'s' * (len(missing) > 1)}", total) as on_bytes:
            _send_all(missing, storage, on_bytes)
    return total


def _is_uploaded(upload: Upload, storage: Storage) -> bool:
    store, name = _target(upload, storage)
    if not (upload.is_content_address or upload.sha256 in upload.target):
        return False
    try:
        return store.size(name) == upload.bytes
    except FileNotFoundError:
        return False


def _send_all(uploads: Sequence[Upload], storage: Storage, on_bytes: OnBytes) -> None:
    is_over = False

    def advance(done: int) -> None:
        if is_over:
            raise InterruptedError("another upload failed, or Ctrl-C")
        on_bytes(done)

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        try:
            sent = [pool.submit(_send, upload, storage, advance) for upload in uploads]
            for done in wait(sent, return_when=FIRST_EXCEPTION).done:
                done.result()
        finally:
            is_over = True  # stops the running uploads at their next piece
            pool.shutdown(cancel_futures=True)


def _send(upload: Upload, storage: Storage, on_bytes: OnBytes) -> None:
    store, name = _target(upload, storage)
    _check(upload)
    store.put_file(name, Path(upload.source), on_bytes)
    try:
        _check(upload)
    except FtsdkError:
        store.delete(name)  # it changed during the upload: the content no longer matches the address
        raise


def _check(upload: Upload) -> None:
    """Raise DataError unless the file is what was planned. Size and mtime tell; hashing again would double the work."""
    if fingerprints.of(Path(upload.source)).sha256 != upload.sha256:
        raise DataError(f"{upload.source} has changed since the plan was made: plan again.")


def _target(upload: Upload, storage: Storage) -> tuple[ObjectStore, str]:
    folder, _, name = upload.target.rpartition("/")
    return ObjectStore(folder, storage), name
