"""Dataclasses from JSON: the inverse of `dataclasses.asdict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, TypeVar, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")


def from_data(cls: type[D], data: Mapping[str, object]) -> D:
    """A dataclass from the JSON of its fields; an absent field has its default, and a key that is no field is ignored.

    Lists become tuples and objects become dataclasses where the field's type says so; other values stay as they are.
    Raises TypeError for a field that is absent and has no default.
    """
    types = _field_types(cls)
    return cls(**{name: _value(types[name], value) for name, value in data.items() if name in types})


@cache
def _field_types(cls: type[DataclassInstance]) -> dict[str, object]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _value(kind: object, value: object) -> object:
    for member in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        if isinstance(value, Mapping) and isinstance(member, type) and is_dataclass(member):
            return from_data(member, value)
        if isinstance(value, Mapping) and get_origin(member) is Mapping:
            return {key: _value(get_args(member)[1], item) for key, item in value.items()}
        if isinstance(value, list) and get_origin(member) is tuple:
            return tuple(_value(get_args(member)[0], item) for item in value)
    return value
