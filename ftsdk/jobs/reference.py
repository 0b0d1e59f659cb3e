"""JobReference: a job's URI and its backend. `Job` and everything that watches jobs build on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Self

from ftsdk import backends, contract
from ftsdk.backends.base import Backend, JobInfo
from ftsdk.contract.documents import JobDocument
from ftsdk.errors import JobNotFoundError, SpecError, did_you_mean
from ftsdk.jobs import journal
from ftsdk.plan import Plan
from ftsdk.runtime.storage.base import Store
from ftsdk.storage.records import LogLine, read_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A job's name becomes a folder's name."""


class JobReference:
    """Reads a job's state, log, folder and plan. Starts and stops nothing."""

    def __init__(self, uri: str, backend: Backend) -> None:
        self.uri = uri
        self.name = uri.rpartition("/")[2]
        self.backend = backend

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    @classmethod
    def attach(cls, job: str) -> Self:
        """The job with this URI, or with this name or label in the journal of this machine.

        Raises JobNotFoundError if the platform has no such job, SpecError for a name or label that several jobs have.
        """
        attached = cls.unchecked(job)
        attached.info()
        return attached

    @classmethod
    def unchecked(cls, job: str) -> Self:
        """The same without a request to the platform, which may have no such job."""
        uri = job if "://" in job else uri_of(job)
        if not uri.partition("://")[2]:
            raise SpecError(f"{job!r} is no job: give a URI such as local://NAME (`ftsdk jobs` lists them).")
        if not _NAME.fullmatch(uri.rpartition("/")[2]):
            raise JobNotFoundError(f"{uri!r} is no job: names have letters, digits and hyphens (`ftsdk jobs`).")
        plan = journal.plan_of(uri)
        return cls(uri, backends.at(uri, plan.options if plan else None))

    def info(self) -> JobInfo:
        """The job's state now, from one poll of the platform."""
        return self.backend.describe(self.name)

    def logs(self, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """The log lines so far, or with `follow` until the job ends; `after` is the cursor of the last line known."""
        return self.backend.logs(self.name, follow=follow, after=after)

    @cached_property
    def store(self) -> Store:
        """The job's durable folder."""
        return self.backend.artifacts(self.name)

    @property
    def plan(self) -> Plan | None:
        """The newest attempt's plan; None if this machine did not submit the job."""
        return journal.plan_of(self.uri)

    @cached_property
    def document(self) -> JobDocument:
        """The job document as stored in the job's folder. Raises JobNotFoundError if it was deleted."""
        document: JobDocument | None = read_json(self.store, contract.JOB_FILE)
        if document is None:
            raise JobNotFoundError(f"Job {self.uri} has no {contract.JOB_FILE} in its folder any more.")
        return document


def uri_of(name: str) -> str:
    """The URI of the job with this name or label in the journal of this machine.

    Raises JobNotFoundError for none, SpecError for several.
    """
    every = journal.entries()
    matches = [entry for entry in every if entry.name == name] or [entry for entry in every if entry.label == name]
    if not matches:
        hint = did_you_mean(name, [known for entry in every for known in (entry.name, entry.label)])
        raise JobNotFoundError(f"This machine knows no job named {name!r}{hint}; give its URI, or see `ftsdk jobs`.")
    if len(matches) > 1:
        raise SpecError(f"{name!r} is {len(matches)} jobs; give a URI: {', '.join(e.uri for e in matches)}.")
    return matches[0].uri
