"""A Plan: everything that a submit would do, as data. It can be printed, compared, reviewed and kept."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ftsdk import contract
from ftsdk.contract.documents import Claim, Storage
from ftsdk.storage.transfers import Copy, Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `submit` will do, to the letter. Made by `ftsdk.plan.build.make_plan`, a pure function."""

    backend: str
    """Registry name of the backend."""
    uri: str
    """Where the job will live, e.g. `local://support-bot-1a2b3c4d`."""
    name: str
    """The job's logical name: the spec's label and eight characters of its digest."""
    digest: str
    """SHA-256 over the spec and the content of its input files (hexadecimal)."""
    request: dict[str, Any]
    """The platform's own request, as it will be sent."""
    document: dict[str, Any]
    """The job document that the supervisor reads (see `ftsdk.contract`)."""
    trainer_config: dict[str, Any]
    """What the trainer will be given, in its own names."""
    spec: dict[str, Any]
    """The spec as JSON data."""
    options: dict[str, Any] = field(default_factory=dict)
    """The backend's options as JSON data; they hold no secret."""
    secrets: tuple[str, ...] = ()
    """Names only."""
    uploads: tuple[Upload, ...] = ()
    storage: Storage = field(default_factory=Storage)
    """How this machine reaches the uploads' targets and the job's durable address; empty for folders."""
    copies: tuple[Copy, ...] = ()
    estimate: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    usd_per_hour: float | None = None
    """What all machines of the job cost together in an hour; None is unknown."""
    attempt: int = 1
    retry: int = 0
    """0 for what a person submits, else the how-manieth retry since."""
    note: dict[str, Any] = field(default_factory=dict)
    """A retry's `by`, `why`, `changed` and `before` for its claim (see `documents.Claim`)."""

    @property
    def native_name(self) -> str:
        """The platform's name of this attempt."""
        return contract.native_name(self.name, self.attempt)

    def for_attempt(self, attempt: int) -> Plan:
        """The same plan for another attempt; the native name is the only thing that differs."""
        old, new = self.native_name, contract.native_name(self.name, attempt)
        return replace(self, request=_renamed(self.request, old, new), attempt=attempt)

    def claim(self) -> bytes:
        """What whoever submits puts, if absent, at `contract.claim_key(attempt)` of the durable folder."""
        import socket

        claim = Claim(
            time=time.time(),
            by=self.note.get("by") or f"{socket.gethostname()}:{os.getpid()}",
            retry=self.retry,
            why=self.note.get("why", ""),
            spot=bool(self.spec["resources"]["spot"]),
            usd_per_hour=self.usd_per_hour,
            changed=self.note.get("changed", {}),
            before=self.note.get("before", {}),
        )
        return json.dumps(claim).encode()

    def to_json(self) -> dict[str, Any]:
        """JSON data; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Read what `to_json` wrote (tuples come back as tuples)."""
        return cls(
            **{
                **data,
                "uploads": tuple(Upload(**u) for u in data.get("uploads", ())),
                "copies": tuple(Copy(**c) for c in data.get("copies", ())),
                "secrets": tuple(data.get("secrets", ())),
                "warnings": tuple(data.get("warnings", ())),
            }
        )


def _renamed(value: Any, old: str, new: str) -> Any:
    text = json.dumps(value)
    return json.loads(text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
