"""A form for a spec, made from its JSON schema: the fields that are one value each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ftsdk.contract.foreign import JsonObject

Schema = JsonObject
"""A JSON schema, or a part of one."""
SECTIONS: Final = ("dataset", "method", "tuning", "hyperparameters", "resources", "budget", "retry")
"""Parts of a spec that have a group of fields each; `name` and `model` stand before them."""


class FormField(NamedTuple):
    """One input of the form."""

    key: str
    """As `--set KEY=VALUE` takes it, e.g. `tuning.rank`."""
    kind: str
    """`text`, `list` (texts with commas between them), `number`, `choice` or `yes or no`."""
    help: str
    choices: tuple[str, ...]
    value: str
    """As the recipe has it; empty where it leaves the default."""
    default: str


class FormGroup(NamedTuple):
    """Fields below one heading."""

    name: str
    fields: tuple[FormField, ...]


def groups(schema: Schema, spec: Mapping[str, object]) -> Iterator[FormGroup]:
    """The form of a spec's schema, filled with the values of a spec in its full form."""
    definitions, properties = schema["$defs"], schema["properties"]
    yield FormGroup("", tuple(_fields("", {"name": properties["name"], "model": properties["model"]}, spec)))
    for section in SECTIONS:
        inner = spec.get(section)
        values = inner if isinstance(inner, dict) else {}
        fields = _fields(f"{section}.", _properties(properties[section], definitions), values)
        yield FormGroup(section, tuple(fields))


def _properties(schema: Schema, definitions: Schema) -> Schema:
    """The properties of a part, of all its variants where it has several."""
    variants = schema.get("oneOf") or [schema]
    merged: Schema = {}
    for variant in variants:
        for name, inner in definitions[variant["$ref"].rpartition("/")[2]]["properties"].items():
            merged.setdefault(name, inner)
    if mapping := schema.get("discriminator"):
        merged[mapping["propertyName"]] = {"enum": sorted(mapping["mapping"])}
    return merged


def _fields(prefix: str, properties: Schema, values: Mapping[str, object]) -> Iterator[FormField]:
    for name, schema in properties.items():
        first = next(option for option in _options(schema) if option.get("type") != "null")
        kind, choices = _kind(first), tuple(map(str, first.get("enum", ())))
        if kind:
            value = _text(values.get(name))
            yield FormField(
                prefix + name, kind, schema.get("description", ""), choices, value, _text(schema.get("default"))
            )


def _options(schema: Schema) -> Iterator[Schema]:
    """The alternatives of a schema, however deep they are nested."""
    if "anyOf" not in schema:
        yield schema
    for option in schema.get("anyOf", ()):
        yield from _options(option)


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return "choice"
    if schema.get("type") == "array":
        return "list" if schema.get("items", {}).get("type") == "string" else ""
    kinds = {"string": "text", "integer": "number", "number": "number", "boolean": "yes or no"}
    return kinds.get(schema.get("type", ""), "")


def _text(value: object) -> str:
    """A value as a person writes it; empty for none, and for what is neither a value nor a list of texts."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(value) if all(isinstance(one, str) for one in value) else ""
    return "" if value is None or isinstance(value, dict) else str(value)
