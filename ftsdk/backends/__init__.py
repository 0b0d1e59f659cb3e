"""The registry of backends. A backend's module is imported when it is first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ftsdk.errors import NotInstalledError, SpecError, did_you_mean

if TYPE_CHECKING:
    from ftsdk.backends.base import Backend

ENTRY_POINTS: Final = "ftsdk.backends"
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "docker": "ftsdk.backends.docker:Docker",
        "local": "ftsdk.backends.local:Local",
        "pai": "ftsdk.backends.pai:Pai",
        "sagemaker": "ftsdk.backends.sagemaker:SageMaker",
        "skypilot": "ftsdk.backends.skypilot:SkyPilot",
    }
)


def names() -> list[str]:
    """Names of the built-in backends and of those in installed packages, sorted."""
    return sorted({*BUILT_IN, *_third_party()})


def backend_class(name: str) -> type[Backend]:
    """The class behind a name. Raises SpecError for an unknown name, NotInstalledError if it can't be imported."""
    target = BUILT_IN.get(name) or _third_party().get(name)
    if target is None:
        raise SpecError(
            f"There is no backend '{name}'{did_you_mean(name, names())}: choose one of {', '.join(names())}."
        )
    module, _, attribute = target.partition(":")
    try:
        kind: type[Backend] = getattr(import_module(module), attribute)
    except ImportError as problem:
        raise NotInstalledError(
            f"Backend '{name}' cannot be loaded ({problem}): pip install 'ftsdk[{name}]'."
        ) from problem
    return kind


def get(name: str, options: Mapping[str, object] | None = None) -> Backend:
    """Create a backend; `options` count most, then FTSDK_<BACKEND>_<KEY>, ftsdk.toml and the user's config."""
    from ftsdk.backends.options import resolve

    kind = backend_class(name)
    return kind(resolve(name, kind.options_model, options or {}))


def at(uri: str, options: Mapping[str, object] | None = None) -> Backend:
    """The backend behind a job's URI; with `NAME://SCOPE/JOB` the scope is one of its options, e.g. a region."""
    name, _, rest = uri.partition("://")
    scope, option = rest.rpartition("/")[0], backend_class(name).scope_option
    return get(name, {**(options or {}), **({option: scope} if scope and option else {})})


def uri_of(backend: Backend, job_name: str) -> str:
    """The URI of a job on a backend; the inverse of `at`."""
    scope = getattr(backend.options, backend.scope_option) if backend.scope_option else None
    return f"{backend.name}://{f'{scope}/' if scope else ''}{job_name}"


def each() -> Iterator[Backend]:
    """Every backend with the options that this machine has for it."""
    return (get(name) for name in names())


def _third_party() -> dict[str, str]:
    """Entry points of other packages; they add names and never replace a built-in one."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS) if point.name not in BUILT_IN}
