"""What has to be sent or copied before a job starts, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A local file that must be at `target`, an object's address, before the job starts (see `staging`)."""

    source: str
    target: str
    bytes: int
    sha256: str
    is_content_address: bool = False
    """What stands at `target`, with this size, can be nothing else: it is not sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy between two remote places."""

    source: str
    target: str
    bytes: int | None
    cost_usd: float | None
