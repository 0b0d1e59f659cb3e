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
from typing import Final, TypeAlias

from ftsdk.contract.foreign import JsonObject
from ftsdk.runtime.storage.folder import FolderStore

FOLDER: Final = "platforms"
AT: Final = "at"
"""Key of the time at which something was last kept, in seconds since the epoch."""
Platforms: TypeAlias = Mapping[str, JsonObject]
"""`BACKEND/SCOPE` -> what is known of it."""
_KEEPING: Final = threading.Lock()  # doctor asks several services at once


def keep(home: Path, backend: str, scope: str, **known: object) -> Path:
    """Add to what is known of a backend's scope (a region, a cluster; empty if there is one only); returns the file."""
    folder, name = home / FOLDER / backend, f"{_file_name(scope)}.json"
    with _KEEPING:
        document = json.dumps({**_read(folder / name), **known, AT: time.time()}, indent=1) + "\n"
        FolderStore(folder).put(name, document.encode())
    return folder / name


def kept(home: Path) -> Platforms:
    """All that is known, by `BACKEND/SCOPE`."""
    paths = (home / FOLDER).glob("*/*.json")
    return {f"{path.parent.name}/{path.stem}": _read(path) for path in sorted(paths)}


def of(platforms: Platforms, backend: str, scope: str) -> JsonObject:
    """What is known of a backend's scope; empty if nothing is."""
    return platforms.get(f"{backend}/{_file_name(scope)}", {})


def warnings(known: JsonObject, *, grace_s: float) -> Iterator[str]:
    """What a probe has measured that a job should not rely on, a sentence each.

    Args:
        known: what is known of the backend's scope.
        grace_s: seconds that the plan counts on between SIGTERM and SIGKILL.
    """
    probe = known.get("probe", {})
    stop, storage, torch = (probe.get(name, {}) for name in ("stop", "storage", "torch"))
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


def _read(path: Path) -> JsonObject:
    try:
        known: JsonObject = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known
