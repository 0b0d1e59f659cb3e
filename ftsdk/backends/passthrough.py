"""Request fields that have no option: `-o request.PATH=VALUE`, checked against the service's own model. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final, TypeVar

from pydantic import BeforeValidator

from ftsdk.errors import SpecError, did_you_mean

PREFIX: Final = "request."
R = TypeVar("R", bound=Mapping[str, object])
"""A request."""
KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "bool": (bool,), "int": (int,), "float": (int, float), "str": (str,), "list": (list,), "object": (dict,),
}  # fmt: skip


def _flatten(value: Any) -> Any:
    """Nested tables of ftsdk.toml as dotted paths."""
    if not isinstance(value, Mapping):
        return value
    flat = {}
    for key, item in value.items():
        nested = _flatten(item) if isinstance(item, Mapping) else None
        flat.update({f"{key}.{rest}": inner for rest, inner in nested.items()} if nested else {key: item})
    return flat


RequestFields = Annotated[dict[str, object], BeforeValidator(_flatten)]
"""Dotted path of a request field -> its value; text is read as JSON where the field is no text."""


def gathered(options: Mapping[str, Any]) -> dict[str, object]:
    """Options in which every `request.PATH` is an entry of the one option `request`."""
    passed = {key.removeprefix(PREFIX): value for key, value in options.items() if key.startswith(PREFIX)}
    others = {key: value for key, value in options.items() if not key.startswith(PREFIX)}
    return {**others, "request": {**_flatten(others.get("request", {})), **passed}} if passed else others


@cache
def fields_of(package: str) -> Mapping[str, str]:
    """The service's request fields, from `request_fields.json` of a backend's package: dotted path -> kind."""
    table: dict[str, str] = json.loads(files(package).joinpath("request_fields.json").read_text("utf-8"))
    return table


def merged(request: R, passed: Mapping[str, object], *, known: Mapping[str, str], service: str) -> R:
    """The request with the fields that a user passes through; a list of objects gets them in each of its items.

    Below a field of kind `object` any path is allowed. Raises SpecError for a field that the service does not have, for
    a value of another kind, and for a field that ftsdk sets itself.
    """
    for path, value in passed.items():
        kind = _kind(path, known, service)
        request = _with(request, path.split("."), _value(path, value, kind), path)
    return request


def _kind(path: str, known: Mapping[str, str], service: str) -> str:
    if path in known:
        return known[path]
    above = path
    while "." in above:
        above = above.rpartition(".")[0]
        if known.get(above) == "object":
            return "any"
    raise SpecError(f"-o {PREFIX}{path}: {service} has no such request field{did_you_mean(path, known)}.")


def _value(path: str, value: object, kind: str) -> object:
    if isinstance(value, str) and kind != "str":
        try:
            value = json.loads(value)
        except ValueError:
            if kind != "any":
                raise SpecError(f"-o {PREFIX}{path}: should be JSON of kind {kind}, not {value!r}.") from None
    if kind != "any" and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "bool")):
        raise SpecError(f"-o {PREFIX}{path}: should be {kind}, not {value!r}.")
    return value


def _with(part: Any, keys: list[str], value: object, path: str) -> Any:
    """A copy of a part of the request with the value at a path."""
    if isinstance(part, list):
        return [_with(item, keys, value, path) for item in part]
    key, *rest = keys
    if rest:
        return {**part, key: _with(part.get(key, {}), rest, value, path)}
    if key in part:
        raise SpecError(f"-o {PREFIX}{path}: ftsdk sets this field itself; `ftsdk plan` shows to what.")
    return {**part, key: value}
