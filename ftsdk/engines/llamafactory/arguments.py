"""The table of LLaMA-Factory's arguments: name -> kind. Regenerate it with the trainer's Python:

python -m ftsdk.engines.llamafactory.arguments > ftsdk/engines/llamafactory/arguments.json
"""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib import resources
from typing import TypedDict

TABLE = "arguments.json"


class ArgumentTable(TypedDict):
    """The packaged table."""

    releases: dict[str, str]
    arguments: dict[str, str]
    """Name -> type as text."""
    choices: dict[str, list[str]]


@cache
def known_arguments() -> dict[str, str]:
    """Every argument of the supported LLaMA-Factory release, with its type as text."""
    table: ArgumentTable = json.loads(resources.files("ftsdk.engines.llamafactory").joinpath(TABLE).read_text("utf-8"))
    return dict(table["arguments"])


@cache
def choices() -> dict[str, list[str]]:
    """The values that an argument may have, for those that have a list of them."""
    table: ArgumentTable = json.loads(resources.files("ftsdk.engines.llamafactory").joinpath(TABLE).read_text("utf-8"))
    return dict(table["choices"])


def read_arguments() -> ArgumentTable:
    """Read the release, the arguments and their choices of the installed LLaMA-Factory."""
    import dataclasses
    from importlib.metadata import version
    from typing import get_type_hints

    from llamafactory.hparams import (
        DataArguments,
        FinetuningArguments,
        GeneratingArguments,
        ModelArguments,
        TrainingArguments,
    )

    groups = (ModelArguments, DataArguments, TrainingArguments, FinetuningArguments, GeneratingArguments)
    arguments = {f.name: type_name(f.type) for group in groups for f in dataclasses.fields(group) if f.init}
    releases = {name: version(name) for name in ("llamafactory", "transformers")}
    hints = {name: kind for group in groups for name, kind in get_type_hints(group).items() if name in arguments}
    listed = {name: _values(kind) for name, kind in sorted(hints.items()) if name not in _SEVERAL}
    choices_of = {name: values for name, values in listed.items() if values}
    return {"releases": releases, "arguments": dict(sorted(arguments.items())), "choices": choices_of}


_SEVERAL = ("debug", "fsdp", "trackio_static_space_id")
"""Arguments that take several of their values at once, or others too."""


def _values(kind: object) -> list[str]:
    """Values of a Literal or an Enum, also inside a union (whose `str` is then only how the value is written)."""
    import enum
    from typing import Literal, get_args, get_origin

    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [str(member.value) for member in kind]
    return [value for part in get_args(kind) for value in _values(part)]


def type_name(kind: object) -> str:
    """A dataclass field's type as text."""
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind)).replace("typing.", "")


if __name__ == "__main__":
    json.dump(read_arguments(), sys.stdout, indent=1)
    sys.stdout.write("\n")
