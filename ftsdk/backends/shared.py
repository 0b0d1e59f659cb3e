"""What several backends share: a job's durable records, the end of an attempt, machine types, content addresses."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from ftsdk import contract
from ftsdk.backends.base import JobInfo, JobState, ObservedState
from ftsdk.contract import Reason
from ftsdk.contract.documents import Outcome
from ftsdk.contract.programs import Completion
from ftsdk.contract.spec_document import SpecDocument
from ftsdk.errors import AuthError, BackendError, JobNotFoundError, SpecError
from ftsdk.plan import Plan
from ftsdk.runtime.storage.base import Store
from ftsdk.sizing.catalogue import Instance, card_of, instances_of
from ftsdk.spec import JobSpec
from ftsdk.spec.parts import Resources
from ftsdk.storage import records
from ftsdk.storage.fingerprints import Fingerprint

OUTCOME_STATES: Mapping[str, JobState] = {
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "INTERRUPTED": JobState.FAILED,  # the state is saved; a new attempt continues from there
}
S = TypeVar("S", bound=Store)
Client = TypeVar("Client")


# --- a job whose plan and durable folder this machine can read ------------------------------------------------
@dataclass(frozen=True, slots=True)
class SubmittedJob(Generic[S]):
    """A job's plan and its durable folder."""

    plan: Plan
    store: S

    @property
    def attempt(self) -> int:
        """The newest claimed attempt; 0 if there is none."""
        return records.last_attempt(self.store)

    @property
    def num_nodes(self) -> int:
        """Number of nodes of the job."""
        return int(self.plan.document["num_nodes"])

    def outcome(self) -> Outcome | None:
        """How the newest attempt ended; None while it runs."""
        return records.outcome(self.store, self.attempt, self.num_nodes)


def write_files(plan: Plan, files: Mapping[str, bytes], stores: Iterable[Store], *, remedy: str) -> None:
    """Put each file into each store. Raises BackendError, ending in `remedy`, if one cannot be written."""
    try:
        for store in stores:
            for key, data in files.items():
                store.put(key, data)
    except OSError as problem:
        raise BackendError(
            f"The job's folder {plan.request['folder']} cannot be written ({problem.strerror}): "
            f"free some space or {remedy}."
        ) from problem


def running(job: SubmittedJob[S], native: Mapping[str, object]) -> JobInfo:
    """The newest attempt in state RUNNING. Raises JobNotFoundError if none was started."""
    attempt = job.attempt
    claim = records.read_json(job.store, contract.claim_key(attempt)) if attempt else None
    if claim is None:
        raise JobNotFoundError(f"Job {job.plan.uri} was planned but never started: submit it again.")
    return JobInfo(
        name=job.plan.name,
        state=JobState.RUNNING,
        attempt=attempt,
        created_at=float(claim["time"]),
        native=native,
    )


def with_outcome(info: JobInfo, outcome: Outcome) -> JobInfo:
    """The state that the supervisor recorded."""
    return replace(
        info,
        state=OUTCOME_STATES.get(outcome["state"], JobState.FAILED),
        reason=Reason.parse(outcome["reason"]),
        message=f"{outcome['message']} {outcome['hint']}".strip(),
        ended_at=outcome["ended_at"],
        exit_code=outcome["exit_code"],
    )


# --- cancelling -----------------------------------------------------------------------------------------------
def write_cancel_note(store: Store, attempt: int) -> None:
    """Write the note by which a supervisor distinguishes a cancel from a preemption. Keeps an existing one."""
    store.put_if_absent(contract.cancel_key(attempt), json.dumps({"time": time.time()}).encode())


def is_cancelled(store: Store, attempt: int) -> bool:
    """Whether the attempt was cancelled through ftsdk."""
    return records.read_json(store, contract.cancel_key(attempt)) is not None


# --- attempts of a cloud's jobs API ---------------------------------------------------------------------------
class CloudAttempt(Protocol):
    """One attempt as a job of the platform."""

    @property
    def attempt(self) -> int:
        """Number of the attempt."""

    @property
    def has_ended(self) -> bool:
        """Whether the platform reports a final status."""


A = TypeVar("A", bound=CloudAttempt)


def newest_attempt(last_seen: A | None, query: Callable[[], A]) -> A:
    """`last_seen` while it runs; after its end a newer attempt may exist, so the platform is queried."""
    if last_seen is not None and not last_seen.has_ended:
        return last_seen
    newest = query()
    return newest if last_seen is None or newest.attempt > last_seen.attempt else last_seen


class RecordedEnd(NamedTuple):
    """What an ended attempt's durable folder says about its end."""

    outcome: Outcome | None
    cancelled: bool
    """Whether the attempt was cancelled through ftsdk."""


def recorded_end(store: Store, attempt: int, num_nodes: int) -> RecordedEnd:
    """Read the supervisors' outcome and the cancel note of an attempt."""
    return RecordedEnd(records.outcome(store, attempt, num_nodes), is_cancelled(store, attempt))


class FailurePattern(NamedTuple):
    """A row of a table from a platform's failure text to a reason."""

    pattern: str
    """Regular expression that is searched in the text."""
    reason: str
    """One of `contract.REASONS`."""
    message: str
    """What happened and what to do, in one or two sentences."""


def first_match(patterns: Iterable[FailurePattern], text: str) -> FailurePattern | None:
    """The first row whose pattern occurs in `text`."""
    return next((row for row in patterns if re.search(row.pattern, text)), None)


def recorded_state(outcome: Outcome) -> ObservedState:
    """The state that the supervisor recorded for a final outcome (not INTERRUPTED)."""
    message = f"{outcome['message']} {outcome['hint']}".strip()
    reason = outcome["reason"] if outcome["reason"] in contract.REASONS else ""
    return ObservedState(JobState(outcome["state"]), reason, message, outcome["exit_code"])


# --- clients of a cloud's services --------------------------------------------------------------------------------
MOST_CLIENTS: Final = 32


class ClientCache(Generic[Client]):
    """Clients by all that they were made from, shared by the jobs of this process; the oldest is dropped first."""

    def __init__(self) -> None:
        self._clients: dict[Hashable, Client] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Client]) -> Client:
        """The client of this key; one thread at a time makes clients, because SDKs' sessions are not thread-safe."""
        with self._lock:
            if key not in self._clients:
                self._clients[key] = make()
                for old in list(self._clients)[:-MOST_CLIENTS]:
                    del self._clients[old]
            return self._clients[key]


def credentials_key(variables: tuple[str, ...], files: Iterable[Path]) -> Hashable:
    """Where a client's credentials come from: variables that begin so, and when the files have changed last."""
    environment = frozenset(item for item in os.environ.items() if item[0].startswith(variables))
    changed = tuple((str(file), file.stat().st_mtime_ns if file.is_file() else 0) for file in files)
    return environment, changed


# --- the spec as a cloud runs it ------------------------------------------------------------------------------
def with_accelerator(spec: JobSpec, accelerator: str | None) -> JobSpec:
    """The spec with the accelerator of the machine type that was selected."""
    return spec.model_copy(update={"resources": spec.resources.model_copy(update={"accelerator": accelerator})})


def without_spot(plan: Plan) -> SpecDocument:
    """The plan's spec with `resources.spot` off."""
    return {**plan.spec, "resources": {**plan.spec["resources"], "spot": False}}


def durable_address(output: str | None, root: str, name: str, *, scheme: str, service: str, bucket: str) -> str:
    """A job's own folder: below `output`, else below `root`. Raises SpecError for an output of another scheme."""
    if output and not output.startswith(scheme):
        raise SpecError(
            f"output {output!r}: a {service} job keeps its results in {bucket}; give {scheme}BUCKET/PREFIX."
        )
    return f"{output.rstrip('/')}/{name}" if output else f"{root}/jobs/{name}"


def content_address(files: Iterable[tuple[str, Fingerprint]]) -> str:
    """16 hexadecimal digits over names and contents: the same files are uploaded once for all jobs."""
    listed = json.dumps(sorted((name, file.sha256) for name, file in files))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def file_name(path: str) -> str:
    """Last part of a path of this machine, whatever its system."""
    return path.replace("\\", "/").rpartition("/")[2]


def registry_login(backend: str, variable: str) -> str:
    """`user:password` of the variable that the option `image_auth` names. Raises AuthError if it is not set."""
    if not os.environ.get(variable):
        raise AuthError(
            f"The {backend} backend's option 'image_auth' names {variable}, which is not set: export "
            f"{variable}=USER:PW."
        )
    return os.environ[variable]


# --- machine types --------------------------------------------------------------------------------------------
def smallest_instance(resources: Resources, *, provider: str, none: Callable[[list[Instance]], str]) -> str:
    """The smallest machine type with the accelerators of `resources`.

    Types whose main memory holds as much as their accelerators are preferred, because weights pass through main
    memory when they are loaded. `none` is called with the provider's types that have such accelerators, but too few,
    and returns the message of the SpecError that is raised.
    """
    card = card_of(str(resources.accelerator))
    with_card = [instance for instance in instances_of(provider) if instance.card == card.name]
    large_enough = [instance for instance in with_card if instance.cards >= resources.accelerators_per_node]
    if not large_enough:
        raise SpecError(none(with_card))
    roomy = [instance for instance in large_enough if instance.memory_gib >= card.usable_gib * instance.cards]
    return min(roomy or large_enough, key=lambda instance: (instance.cards, instance.vcpus, instance.name)).name


def too_few_cards(resources: Resources, instances: list[Instance], provider_name: str) -> str:
    """Message for more accelerators per node than any machine type has."""
    most = max(instance.cards for instance in instances)
    return (
        f"resources.accelerators_per_node {resources.accelerators_per_node}: {provider_name} has at most {most} x "
        f"{resources.accelerator} in a machine; use more nodes (resources.num_nodes)."
    )


def unused_accelerators(instance: Instance | None, resources: Resources) -> tuple[str, ...]:
    """A warning if the machine type has more accelerators than the job uses."""
    if instance is None or instance.cards <= resources.accelerators_per_node:
        return ()
    return (
        f"{instance.name} has {instance.cards} x {instance.card} and {resources.accelerators_per_node} are used: "
        f"set resources.accelerators_per_node to {instance.cards}.",
    )


# --- a server's answers ---------------------------------------------------------------------------------------
ANSWER_S = 300.0
"""Seconds in which a server answers a request: a CPU generates a few tokens a second."""


def is_answering(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET request to the address gets status 200 within two seconds."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, headers=dict(headers or {})), timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False


def post_json(url: str, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Completion:
    """The JSON answer to a JSON request. Raises BackendError for an error and for no answer."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    given = {"Content-Type": "application/json", **(headers or {})}
    try:
        with urlopen(Request(url, json.dumps(content).encode(), given), timeout=ANSWER_S) as response:
            answer: Completion = json.load(response)
    except HTTPError as problem:
        body = problem.read().decode("utf-8", "replace")[:300]
        raise BackendError(f"{url} refused the request with status {problem.code}: {body}") from problem
    except (OSError, HTTPException, ValueError) as problem:
        raise BackendError(f"{url} gave no answer ({problem}): `ftsdk deployment logs` shows why.") from problem
    return answer
