"""Uploads and copies that a plan needs before its job starts, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A local file that must be at `target`, the address of an object, before the job starts."""

    source: str
    target: str
    bytes: int
    sha256: str
    is_content_address: bool = False
    """An object at `target` with this size is this file: it is not sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy between two remote places."""

    source: str
    target: str
    bytes: int | None
    cost_usd: float | None
