"""A backend's options: what belongs to an account or a machine and not to the training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ftsdk.backends import config, passthrough
from ftsdk.errors import SpecError, did_you_mean


class Options(BaseModel):
    """Base of every backend's options: frozen, no unknown keys; text from -o and the environment is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    price_usd_per_hour: float | None = Field(default=None, ge=0)
    """What one machine costs in an hour, in US dollars, where ftsdk's tables do not know it or yours is another."""


Model = TypeVar("Model", bound=BaseModel)


def _split(value: object) -> object:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return json.loads(value)
    pairs = [word.partition("=") for word in value.split(",") if word.strip()]
    if not all(mark for _, mark, _ in pairs):
        raise ValueError("write key=value,key=value")
    return {key.strip(): text.strip() for key, _, text in pairs}


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A tuple; `a,b` as text."""
Pairs = Annotated[dict[str, str], BeforeValidator(_pairs)]
"""A mapping; `team=nlp,cost=42` or a JSON object as text."""


def first_set(*variables: str) -> str | None:
    """Value of the first environment variable that is set and not empty."""
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


def resolve(backend: str, model: type[Model], given: Mapping[str, object]) -> Model:
    """Options from `given`, then the environment, then ftsdk.toml here or above, then the user's own.

    Raises SpecError with every way to give a value that is missing or wrong.
    """
    merged: dict[str, object] = {}
    sources: tuple[Mapping[str, object], ...] = (*config.tables(backend), _environment(backend, model), given)
    for source in sources:
        merged.update(passthrough.gathered(source))
    try:
        return model.model_validate(merged)
    except ValidationError as problem:
        raise SpecError(_sentence(backend, model, problem)) from None


def _environment(backend: str, model: type[BaseModel]) -> dict[str, str]:
    names = {key: variable(backend, key) for key in model.model_fields}
    return {key: os.environ[name] for key, name in names.items() if name in os.environ}


def variable(backend: str, key: str) -> str:
    """Environment variable of an option."""
    return f"FTSDK_{backend}_{key}".upper()


def _sentence(backend: str, model: type[BaseModel], problem: ValidationError) -> str:
    first = problem.errors()[0]
    key = ".".join(map(str, first["loc"]))
    ways = f"-o {key}=VALUE, {variable(backend, key)}, or [{backend}] in ftsdk.toml"
    if first["type"] == "missing":
        return f"The {backend} backend needs the option '{key}': give it by {ways}."
    if first["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields)
        return f"The {backend} backend has no option '{key}'{did_you_mean(key, model.model_fields)}; it has {known}."
    return f"The {backend} backend's option '{key}' is wrong ({first['msg'].lower()}): give it by {ways}."
