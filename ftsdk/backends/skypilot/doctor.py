"""Check what the skypilot backend needs."""

from __future__ import annotations

from collections.abc import Iterator

from ftsdk.backends.base import Check
from ftsdk.backends.skypilot.api import ApiServer
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.errors import BackendError


def checks(server: ApiServer, options: SkyPilotOptions) -> Iterator[Check]:
    """SkyPilot's package and API server (which is started), what `sky check` says is enabled, and the storage."""
    try:
        response = server.run({"verb": "check"})
    except BackendError as problem:
        yield Check(what="SkyPilot", ok=False, detail="does not answer", remedy=str(problem))
        return
    yield Check(what="SkyPilot", ok=True, detail=f"version {response['version']}")
    yield _infra(response["infra"])
    yield _storage(options)


def _infra(enabled: list[str]) -> Check:
    if enabled:
        return Check(what="infra", ok=True, detail=", ".join(enabled))
    return Check(what="infra", ok=False, detail="none is enabled", remedy="`sky check` says what each one misses")


def _storage(options: SkyPilotOptions) -> Check:
    if options.storage:
        return Check(what="storage", ok=True, detail=options.storage)
    remedy = (
        "give it by -o storage=VALUE, FTSDK_SKYPILOT_STORAGE, or [skypilot] in ftsdk.toml, or `output` in each spec"
    )
    return Check(what="storage", ok=False, detail="not set", remedy=remedy)
