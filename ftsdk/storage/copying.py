"""Copies from another cloud, or to this machine, that a plan needs: shown with size and cost, made with `--copy`."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.runtime.storage.base import OnBytes, Store, ignore_bytes
from ftsdk.storage.store import open_store
from ftsdk.storage.transfers import Copy

if TYPE_CHECKING:
    from ftsdk.contract.documents import Storage
    from ftsdk.storage.objects import ObjectStore

EGRESS_USD_PER_GB: Final = {"s3": 0.09, "gs": 0.12}
"""To the internet, the first terabytes of a month: list prices of Amazon EC2 data transfer (us-east-1) and Google Cloud
network (premium tier), 2026. Alibaba's depends on the hour and the contract: unknown."""
FILES_AT_ONCE: Final = 4


def copy_of(source: str, root: str, size: int | None) -> Copy:
    """The copy of a folder in another cloud below a root; the same source always has the same target. Pure."""
    target = f"{root}/copies/{hashlib.sha256(source.encode()).hexdigest()[:16]}/"
    price = EGRESS_USD_PER_GB.get(source.partition("://")[0])
    cost = None if price is None or size is None else round(price * size / 1e9, 2)
    return Copy(source=source, target=target, bytes=size, cost_usd=cost)


def refuse(copies: Sequence[Copy]) -> None:
    """Raise UnsupportedError that lists the copies, for a submit without `--copy`."""
    if copies:
        needed = "; ".join(map(described, copies))
        raise UnsupportedError(
            f"This job needs a copy of what lies elsewhere: {needed}. Say --copy to make it, or run the job where the "
            f"files are (-b BACKEND)."
        )


def described(copy: Copy) -> str:
    """A copy in a few words."""
    size = "size unknown" if copy.bytes is None else f"{copy.bytes / 1e9:.2f} GB"
    cost = "cost unknown" if copy.cost_usd is None else f"about {copy.cost_usd:.2f} USD of egress"
    return f"{copy.source} -> {copy.target} ({size}, {cost})"


def make_copy(copy: Copy, storage: Storage, on_bytes: OnBytes = ignore_bytes) -> int:
    """Copy every file to its target; those with the right size are skipped. Returns the number of bytes sent.

    The source is reached as the environment says, the target as the plan says. Each file passes through this
    machine's disk. Raises SpecError for an empty source.
    """
    from ftsdk.storage.objects import ObjectStore

    source, target = ObjectStore(copy.source, {}), open_store(copy.target, storage)
    every, copied = list(source.list()), set(target.list())
    if not every:
        raise SpecError(f"There is nothing at {copy.source}: check the address.")
    files = [item for item in every if item not in copied]
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        list(pool.map(lambda item: _copy_file(source, target, item.key, on_bytes), files))
    return sum(item.bytes for item in files)


def _copy_file(source: ObjectStore, target: Store, key: str, on_bytes: OnBytes) -> None:
    with tempfile.TemporaryDirectory(prefix="ftsdk-copy-") as folder:
        path = Path(folder) / "file"
        source.fetch(key, path)
        target.put_file(key, path, on_bytes)
