"""A study in storage: its document, the plans of its jobs, and who started which.

studies/NAME/study.json             the document, written last: a study exists once it does
studies/NAME/plans-…/0001.json      what is submitted for job 1
studies/NAME/claims/0001/0001.json  who starts it; 0002.json where the first one died before the job existed
studies/NAME/ends/0005.json         how a step that is no job has ended
studies/NAME/search/000001.json     what a search has done, in order (`ftsdk.studies.search.operations`)
studies/NAME/pruned/0003.json       a job that the pruner has stopped
studies/NAME/cancel.json            no further job is started
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, NotRequired, TypedDict, cast

from ftsdk.contract.spec_document import SpecDocument
from ftsdk.errors import JobNotFoundError, did_you_mean
from ftsdk.home import home_dir
from ftsdk.plan import Plan
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.storage.records import read_json
from ftsdk.studies.search.operations import OperationLog
from ftsdk.studies.search.optimizer import SearchSettings

FORMAT = 1
DOCUMENT, CANCEL = "study.json", "cancel.json"
SCHEME = "study://"
ABANDONED_S = 120.0
"""A claim whose job does not exist after this time may be taken over."""


class CheckSettings(TypedDict):
    """What is refused before a job is started; arguments of `Estimator.check`."""

    size_check: bool
    data_check: bool
    copy: bool


CHECKS: Final[CheckSettings] = {"size_check": True, "data_check": True, "copy": False}


class PushDocument(TypedDict):
    """Where a step of a pipeline publishes a model."""

    to: str
    model: str
    """`step://NAME`, or a job's URI."""
    public: bool
    overwrite: bool


class StepDocument(TypedDict):
    """A step of a pipeline, and what has to be known before it is planned."""

    name: str
    spec: SpecDocument | None
    """Its job's spec, in which `step://NAME` stands for a result; None for a push."""
    push: PushDocument | None
    backend: str
    options: dict[str, object]
    folder: str
    """Absolute folder of relative paths."""
    needs: list[str]
    """Names of the steps that end before it starts."""
    inputs: dict[str, list[str]]
    """Name after `step://`, or in a condition -> the step it stands for; several are a choice by `best`."""
    condition: str
    """Empty without one."""
    best: str
    """`STEP.METRIC` that chooses among several steps; empty without a choice."""
    goal: Literal["min", "max"]
    checks: CheckSettings


class TrialDocument(TypedDict):
    """One job of a study."""

    number: int
    changes: dict[str, object]
    uri: str
    """Empty for a step of a pipeline that is planned once the steps before it have ended."""
    step: NotRequired[StepDocument]
    """Of a pipeline."""
    hours: float | None
    """Estimated."""
    cost_usd: float | None
    """Estimated."""


class StudyDocument(TypedDict):
    """What a study is; its state is derived from its jobs."""

    format: int
    name: str
    digest: str
    created_at: float
    """Seconds since the epoch."""
    metric: str
    """Empty for a pipeline, which ranks nothing."""
    goal: Literal["min", "max"]
    parallel: int
    max_cost_usd: float | None
    max_hours: float | None
    trials: list[TrialDocument]
    """Empty for a search, whose jobs are chosen one after another (`StudyRecord.trials`)."""
    search: NotRequired[SearchDocument]
    seeds: NotRequired[int]
    """How often each combination runs, with a seed of its own; 1 if left out."""


class SearchDocument(TypedDict):
    """What a watcher needs to choose and plan the next job of a search."""

    settings: SearchSettings
    trials: int
    """Jobs that are chosen at most."""
    spec: SpecDocument
    backend: str
    options: dict[str, object]
    folder: str
    """Absolute folder of relative paths."""
    checks: CheckSettings


class TrialClaim(TypedDict):
    """Who starts a job of a study."""

    time: float
    """Seconds since the epoch."""
    by: str
    """Host name and process id, `host:123`."""
    turn: int
    """1-based; higher where a claim before it was abandoned."""


class StepEnd(TypedDict):
    """How a step that is no job has ended."""

    time: float
    state: Literal["SUCCEEDED", "FAILED"]
    result: str
    """The address that was written, or why there is none."""


class PruneNote(TypedDict):
    """A job that the pruner has stopped."""

    step: int


class StopNote(TypedDict):
    """Why no further job is started."""

    time: float
    why: str


class StudyRecord:
    """Reads and writes the folder of one study. Starts nothing."""

    def __init__(self, name: str) -> None:
        self.name = name.removeprefix(SCHEME)
        self.store = FolderStore(studies_folder() / self.name)

    @property
    def uri(self) -> str:
        """`study://NAME`."""
        return f"{SCHEME}{self.name}"

    @cached_property
    def document(self) -> StudyDocument:
        """The document. Raises JobNotFoundError if there is no such study."""
        document: StudyDocument | None = read_json(self.store, DOCUMENT) if self.name in names() else None
        if document is None:
            hint = did_you_mean(self.name, names())
            raise JobNotFoundError(
                f"There is no study {self.name!r} on this machine{hint}; `ftsdk studies` lists them."
            )
        return document

    def create(self, document: StudyDocument, plans: Mapping[int, Plan]) -> bool:
        """Write a study with the plans of its jobs by their numbers; False if one of this name exists."""
        if self.name in names():
            return False
        for number, plan in plans.items():
            self.store.put(_plan_key(document["digest"], number), json.dumps(plan.to_json()).encode())
        return self.store.put_if_absent(DOCUMENT, json.dumps(document, indent=1).encode())

    def trials(self) -> list[TrialDocument]:
        """The jobs so far: those of the document, or of a search those that were chosen."""
        if "search" not in self.document:
            return self.document["trials"]
        log = OperationLog(self.store)
        log.read()
        return [cast(TrialDocument, trial) for trial in log.jobs()]

    def plan(self, number: int) -> Plan | None:
        """What is submitted for a job; None if it is not planned yet."""
        data = read_json(self.store, _plan_key(self.document["digest"], number))
        return None if data is None else Plan.from_json(data)

    def add_plan(self, number: int, plan: Plan) -> None:
        """Write the plan of a job that could not be planned before, unless there is one."""
        self.store.put_if_absent(_plan_key(self.document["digest"], number), json.dumps(plan.to_json()).encode())

    def forget(self, number: int) -> None:
        """Let a step of a pipeline be planned and started anew; a plan from the beginning stays."""
        every = self.document["trials"]
        late = [_plan_key(self.document["digest"], number)] if every and not every[number - 1]["uri"] else []
        self.store.delete(*late, _end_key(number))
        self.release(number)

    # --- steps that are no jobs ------------------------------------------------------------------------------
    def end(self, number: int) -> StepEnd | None:
        """How a step that is no job has ended; None before."""
        end: StepEnd | None = read_json(self.store, _end_key(number))
        return end

    def write_end(self, number: int, end: StepEnd) -> None:
        """Record how a step that is no job has ended."""
        self.store.put(_end_key(number), json.dumps(end).encode())

    # --- claims ----------------------------------------------------------------------------------------------
    def claims(self) -> dict[int, TrialClaim]:
        """Number of each job that was claimed -> its newest claim."""
        newest: dict[int, TrialClaim] = {}
        for item in self.store.list("claims/"):
            claim: TrialClaim | None = read_json(self.store, item.key)
            if claim is not None:
                newest[int(item.key.split("/")[1])] = claim
        return newest

    def claim(self, number: int, *, turn: int) -> bool:
        """Whether this process may start a job; of all that try the same turn, one gets True."""
        claim = TrialClaim(time=time.time(), by=f"{socket.gethostname()}:{os.getpid()}", turn=turn)
        return self.store.put_if_absent(f"{_claims_of(number)}{turn:04d}.json", json.dumps(claim).encode())

    def release(self, number: int) -> None:
        """Take all claims of a job back: it may be started again."""
        self.store.delete(*reversed([item.key for item in self.store.list(_claims_of(number))]))

    # --- pruning ---------------------------------------------------------------------------------------------
    def prune(self, number: int, step: int) -> bool:
        """Note that a job is stopped by the pruner after a step; True for the one call that does it."""
        return self.store.put_if_absent(_prune_key(number), json.dumps(PruneNote(step=step)).encode())

    def pruned_at(self, number: int) -> int | None:
        """The step after which a job was pruned; None if it was not."""
        note: PruneNote | None = read_json(self.store, _prune_key(number))
        return note["step"] if note else None

    # --- the end ---------------------------------------------------------------------------------------------
    def stop_note(self) -> StopNote | None:
        """Why no further job is started; None if one may be."""
        note: StopNote | None = read_json(self.store, CANCEL)
        return note

    def stop(self, why: str) -> bool:
        """Let no further job be started; True for the one call that does it."""
        return self.store.put_if_absent(CANCEL, json.dumps(StopNote(time=time.time(), why=why)).encode())


def studies_folder() -> Path:
    """Where this machine's studies are."""
    return home_dir() / "studies"


def names() -> list[str]:
    """Names of this machine's studies, newest first."""
    studies = [(path.stat().st_mtime, path.parent.name) for path in studies_folder().glob(f"*/{DOCUMENT}")]
    return [name for _, name in sorted(studies, reverse=True)]


def is_study(text: str) -> bool:
    """Whether an argument names a study: `study://NAME`, or the name of one that exists."""
    return text.startswith(SCHEME) or ("://" not in text and text in names())


def is_abandoned(claim: TrialClaim, *, now: float) -> bool:
    """Whether the process that claimed a job can no longer be about to start it."""
    host, _, process = claim["by"].rpartition(":")
    if host == socket.gethostname():
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # another user's process has that id
            pass
    return now - claim["time"] > ABANDONED_S


def _prune_key(number: int) -> str:
    return f"pruned/{number:04d}.json"


def _end_key(number: int) -> str:
    return f"ends/{number:04d}.json"


def _claims_of(number: int) -> str:
    return f"claims/{number:04d}/"


def _plan_key(digest: str, number: int) -> str:
    """Two studies of one name that are written at once do not overwrite each other's plans."""
    return f"plans-{digest[:8]}/{number:04d}.json"
