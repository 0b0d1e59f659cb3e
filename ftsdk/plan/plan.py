"""A Plan: everything that a submit does, as data that can be printed, compared, reviewed and stored."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypedDict

from ftsdk import contract
from ftsdk.contract.documents import Claim, JobDocument, PreviousAttempt, Storage
from ftsdk.contract.json_data import from_data
from ftsdk.contract.spec_document import SpecDocument
from ftsdk.sizing.estimate import Estimate
from ftsdk.storage.transfers import Copy, Upload
from ftsdk.terminal import notebook


class RetryNote(TypedDict, total=False):
    """Fields of a retry's claim; `contract.documents.Claim` describes them."""

    by: str
    why: str
    changed: Mapping[str, object]
    before: PreviousAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that `submit` does. Made by `Backend.plan`, a pure function."""

    backend: str
    """Registry name of the backend."""
    uri: str
    """Address of the job, e.g. `local://support-bot-1a2b3c4d`."""
    name: str
    """The job's logical name: the spec's label and eight characters of its digest."""
    digest: str
    """SHA-256 over the spec and the content of its input files (hexadecimal)."""
    request: Mapping[str, Any]
    """The platform's own request, as `submit` sends it."""
    document: JobDocument
    """The job document that the supervisor reads (see `ftsdk.contract`)."""
    trainer_config: Mapping[str, Any]
    """The trainer's configuration, in the trainer's own names."""
    spec: SpecDocument
    """The spec as JSON data."""
    options: Mapping[str, object] = field(default_factory=dict)
    """The backend's options as JSON data; they hold no secret."""
    secrets: tuple[str, ...] = ()
    """Names only."""
    uploads: tuple[Upload, ...] = ()
    storage: Storage = field(default_factory=Storage)
    """How this machine reaches the targets of `uploads` and the job's durable address; empty for folders."""
    copies: tuple[Copy, ...] = ()
    estimate: Estimate = field(default_factory=Estimate)
    """Memory, time and price of the job as far as they are known."""
    warnings: tuple[str, ...] = ()
    usd_per_hour: float | None = None
    """US dollars per hour for all machines of the job together; None is unknown."""
    checked: str = ""
    """How the template was compared with the model's own; empty if it could not be."""
    attempt: int = 1
    retry: int = 0
    """1-based retry index; 0 for an attempt that was submitted."""
    note: RetryNote = field(default_factory=RetryNote)
    """What a retry adds to its claim; empty for an attempt that was submitted."""

    def _repr_html_(self) -> str:
        """The plan in a notebook."""
        price = None if self.usd_per_hour is None else f"{self.usd_per_hour:.4g} USD an hour"
        uploads = f"{len(self.uploads)} files, {sum(upload.bytes for upload in self.uploads) / 1e6:.1f} MB"
        return notebook.table(
            self.uri,
            {
                "backend": self.backend,
                "attempt": self.attempt,
                "price": price,
                "uploads": uploads if self.uploads else None,
                "secrets": ", ".join(self.secrets),
                "warnings": " ".join(self.warnings),
            },
        )

    @property
    def native_name(self) -> str:
        """The platform's name for this attempt."""
        return contract.native_name(self.name, self.attempt)

    @property
    def price_usd_per_hour(self) -> float | None:
        """The option `price_usd_per_hour`: what one machine costs in an hour, as the user says."""
        price = self.options.get("price_usd_per_hour")
        return price if isinstance(price, int | float) else None

    def for_attempt(self, attempt: int) -> Plan:
        """The same plan for another attempt; the native name is the only thing that differs."""
        old, new = self.native_name, contract.native_name(self.name, attempt)
        return replace(self, request=_renamed(self.request, old, new), attempt=attempt)

    def claim(self) -> bytes:
        """The claim that `submit` puts, if absent, at `contract.claim_key(attempt)` of the durable folder."""
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

    def to_json(self) -> dict[str, object]:
        """JSON data; `from_json` is its inverse."""
        return {**asdict(self), "estimate": self.estimate.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Plan:
        """Read what `to_json` wrote, also by an earlier version; an absent optional key has its default."""
        return from_data(cls, data)


def _renamed(value: Any, old: str, new: str) -> Any:
    text = json.dumps(value)
    return json.loads(text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
