"""What is known of the user's accounts and machines: kept in ftsdk's home by `ftsdk doctor`, read into the facts.

One file a backend and scope, `platforms/BACKEND/SCOPE.json`, with what the platform reported or a probe measured.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias, TypedDict, Unpack

from ftsdk.runtime.storage.folder import FolderStore

FOLDER: Final = "platforms"


class StopAnswer(TypedDict, total=False):
    """How a probe ended that was stopped."""

    alive_s: float
    """Seconds that it lived after SIGTERM."""
    survived: bool
    """Whether it ended by itself, before it was killed."""


class ProbeAnswers(TypedDict, total=False):
    """What a probe measured (`ftsdk.runtime.programs.probe`); a part that failed has an `error`."""

    machine: Mapping[str, object]
    driver: Mapping[str, object]
    torch: Mapping[str, object]
    disks: Mapping[str, object]
    user: Mapping[str, object]
    credentials: Mapping[str, object]
    storage: Mapping[str, object]
    secrets: Mapping[str, bool]
    """Name -> whether the job could read it."""
    network: Mapping[str, object]
    stop: StopAnswer
    log: Mapping[str, float]
    """`delay_s` of its lines."""
    seconds_to_first_answer: float


class MachineDrivers(TypedDict):
    """Versions of the NVIDIA driver on a machine type."""

    default: str
    supported: list[str]


class KnownPlatform(TypedDict, total=False):
    """What is kept of a backend's scope."""

    at: float
    """When something was last kept, in seconds since the epoch."""
    probe: ProbeAnswers
    drivers: Mapping[str, MachineDrivers]
    """By machine type."""
    default_bucket: str | None
    """Bucket of the workspace's default storage."""
    packages: list[str]
    """Of an image: those that its labels name."""


Platforms: TypeAlias = Mapping[str, KnownPlatform]
"""`BACKEND/SCOPE` -> what is known of it."""

_KEEPING: Final = threading.Lock()  # doctor asks several services at once


def keep(home: Path, backend: str, scope: str, **known: Unpack[KnownPlatform]) -> Path:
    """Add to what is known of a backend's scope (a region, a cluster; empty if there is one only); returns the file."""
    folder, name = home / FOLDER / backend, f"{_file_name(scope)}.json"
    with _KEEPING:
        document = json.dumps({**_read(folder / name), **known, "at": time.time()}, indent=1) + "\n"
        FolderStore(folder).put(name, document.encode())
    return folder / name


def kept(home: Path) -> Platforms:
    """All that is known, by `BACKEND/SCOPE`."""
    paths = (home / FOLDER).glob("*/*.json")
    return {f"{path.parent.name}/{path.stem}": _read(path) for path in sorted(paths)}


def of(platforms: Platforms, backend: str, scope: str) -> KnownPlatform:
    """What is known of a backend's scope; empty if nothing is."""
    return platforms.get(f"{backend}/{_file_name(scope)}", KnownPlatform())


def warnings(known: KnownPlatform, *, grace_s: float) -> Iterator[str]:
    """What a probe has measured that a job should not rely on, a sentence each.

    Args:
        known: what is known of the backend's scope.
        grace_s: seconds that the plan counts on between SIGTERM and SIGKILL.
    """
    probe = known.get("probe", ProbeAnswers())
    stop, storage, torch = probe.get("stop", StopAnswer()), probe.get("storage", {}), probe.get("torch", {})
    alive_s = stop.get("alive_s")
    if alive_s is not None and not stop.get("survived") and alive_s + 1 < grace_s:
        yield (
            f"the probe was killed {alive_s:.0f} s after SIGTERM, and the plan counts on {grace_s:.0f} s: a stopped "
            f"job may lose what came after its last checkpoint (set grace_s lower)."
        )
    if storage.get("put_if_absent") == [True, True]:
        yield "the probe's storage overwrites an object that exists: two watchers could start the same attempt twice."
    if "error" in torch:
        yield f"the probe's torch did not work there: {torch['error']}"


def _file_name(scope: str) -> str:
    return re.sub(r"[^\w.-]", "_", scope) or "any"


def _read(path: Path) -> KnownPlatform:
    try:
        known: KnownPlatform = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return KnownPlatform()
    return known
