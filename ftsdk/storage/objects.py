"""A bucket as the launcher uses it: with the user's own credentials, and with ftsdk's errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ftsdk.contract.documents import Storage
from ftsdk.errors import AuthError, BackendError, NotInstalledError, SpecError, UnavailableError
from ftsdk.runtime.storage.base import ObjectInfo
from ftsdk.runtime.storage.bucket import BucketStore

RETRY_S = 60.0
"""How long a service that does not answer is tried: a person is waiting."""


@contextmanager
def storage_errors() -> Iterator[None]:
    """Storage errors as ftsdk's; those of local files, and FileNotFoundError, stay what they are."""
    try:
        yield
    except FileNotFoundError:
        raise
    except PermissionError as problem:
        if problem.filename is not None:
            raise
        raise AuthError(f"{problem.strerror}: check the credentials and what they may do there.") from problem
    except ConnectionError as problem:
        raise UnavailableError(f"{problem.strerror}: check the network and the endpoint, then try again.") from problem
    except OSError as problem:
        if problem.filename is not None or "bucket" not in str(problem):
            raise
        raise BackendError(f"{problem.strerror}.") from problem


class ObjectStore(BucketStore):
    """Objects below an address such as `s3://bucket/prefix`.

    Raises AuthError, UnavailableError or BackendError where BucketStore raises an OSError, except FileNotFoundError
    for a missing object; NotInstalledError without the extra `storage` and SpecError for an unusable address.
    """

    def __init__(self, uri: str, storage: Storage) -> None:
        try:
            super().__init__(uri, storage, os.environ, retry_s=RETRY_S)
        except ModuleNotFoundError:
            raise NotInstalledError(f"{uri} needs the extra `storage`: pip install 'ftsdk[storage]'.") from None
        except ValueError as problem:
            raise SpecError(f"{problem}.") from None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with storage_errors():
            yield from super().list(prefix)

    size = storage_errors()(BucketStore.size)
    read = storage_errors()(BucketStore.read)
    put = storage_errors()(BucketStore.put)
    put_if_absent = storage_errors()(BucketStore.put_if_absent)
    put_file = storage_errors()(BucketStore.put_file)
    fetch = storage_errors()(BucketStore.fetch)
    delete = storage_errors()(BucketStore.delete)
