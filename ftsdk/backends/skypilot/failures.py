"""SkyPilot's errors -> ours, each with what to do. Classes: `sky.exceptions` of SkyPilot 0.14. Pure."""

from __future__ import annotations

import re
from typing import Final

from ftsdk.errors import AuthError, BackendError, CapacityError, NotInstalledError, QuotaError, UnavailableError

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OWN_LINE = re.compile(r"\([^()]*\bpid=\d+[^()]*\) ?(.*)")
"""Of SkyPilot's log of a job: `(setup pid=7) text`, `(NAME, pid=7) text`."""
TRIED: Final = "✗"
"""Start of the line of each infra that SkyPilot has tried without success."""
KINDS: Final[tuple[tuple[str, str, type[BackendError], str], ...]] = (
    (
        "NoCloudAccessError|ResourcesUnavailableError|StorageError",
        r"no cloud|cloud access|not enabled|access is disabled|no infra",
        AuthError,
        "SkyPilot has no access there; `sky check` says what is missing ({detail}).",
    ),
    (
        ".*",
        r"quota|limit exceeded|vcpulimit|maxspotinstancecount",
        QuotaError,
        "The account's quota does not allow it; ask the cloud for more, or name another infra ({detail}).",
    ),
    (
        "ResourcesUnavailableError|ResourcesMismatchError",
        r"catalog does not contain|no launchable|not satisf|no resource satisf|cannot be satisfied",
        CapacityError,
        "No infra that SkyPilot has offers this hardware; `sky gpus list` shows what there is ({detail}).",
    ),
    (
        "ResourcesUnavailableError|ManagedJobReachedMaxRetriesError|ProvisionPrechecksError",
        "",
        CapacityError,
        "The hardware is not to be had right now; add infra or accelerators to choose from, or try later ({detail}).",
    ),
    (
        "NotSupportedError|ProvisionUnsupportedError",
        "",
        BackendError,
        "SkyPilot cannot do that there: {detail}.",
    ),
    (
        "ClusterDoesNotExist|ClusterNotUpError",
        "",
        UnavailableError,
        "The SkyPilot cluster is not up; `sky status` lists those that are ({detail}).",
    ),
    (
        "ApiServerAuthenticationError|PermissionDeniedError|InvalidCloudCredentials|CloudUserIdentityError"
        "|NoWorkspaceAccessError|ClusterOwnerIdentityMismatchError",
        "",
        AuthError,
        "SkyPilot refuses: {detail}; log in with `sky api login`, or see `sky check`.",
    ),
    (
        "ApiServerConnectionError|RequestInterruptedError|ServerTemporarilyUnavailableError|NetworkError"
        "|APIVersionMismatchError|ConcurrentWorkerExhaustedError",
        "",
        UnavailableError,
        "SkyPilot's API server does not answer as it should ({detail}); `sky api status` and `sky api info` say more.",
    ),
    (
        "StorageError|Storage.*Error|NonExistentStorageAccountError",
        "",
        BackendError,
        "SkyPilot cannot bring the inputs to the nodes: {detail}.",
    ),
    (
        "ModuleNotFoundError",
        "",
        NotInstalledError,
        "SkyPilot is not installed: pip install 'ftsdk[skypilot]', or name an interpreter that has it by the skypilot "
        "backend's option 'sky_python' ({detail}).",
    ),
)
"""Patterns of SkyPilot's error class and (lower-case) message -> ftsdk's error and message; the first match wins."""
REASONS: Final[dict[type[BackendError], str]] = {
    AuthError: "auth",
    QuotaError: "quota",
    CapacityError: "capacity",
    UnavailableError: "lost",
}
"""ftsdk's error -> reason of a job that failed because of it."""


def error(kind: str, message: str) -> BackendError:
    """The ftsdk error for an error of SkyPilot."""
    detail, text = words(message), " ".join(_lines(message)).lower()
    for classes, pattern, ours, sentence in KINDS:
        if re.fullmatch(classes, kind) and re.search(pattern, text):
            return ours(sentence.format(detail=detail))
    return BackendError(f"SkyPilot refused: {detail or kind}.")


def reason(problem: BackendError) -> str:
    """One of `contract.REASONS`."""
    return REASONS.get(type(problem), "bad_config")


def words(message: str) -> str:
    """A message of several coloured lines and tables as one line; after a long search for machines, the infra tried."""
    lines = _lines(message)
    tried = [line.lstrip(f"{TRIED} ") for line in lines if line.startswith(TRIED)]
    return (f"tried {'; '.join(tried)}" if tried else " ".join(lines)).rstrip(".")[:800]


def last_lines(log: str) -> str:
    """The end of what a job itself wrote into SkyPilot's log, as a sentence; empty if it wrote nothing."""
    detail = [match[1] for line in _lines(log) if (match := OWN_LINE.match(line))]
    return f"Its last lines: {' '.join(detail)[-500:]}" if detail else ""


def _lines(message: str) -> list[str]:
    lines = [line.strip() for line in COLOURS.sub("", message).splitlines()]
    return [line for line in lines if line.strip("-=─ ")]
