"""`python -m ftsdk.spec.generate` writes `ftsdk/spec/fields.py`: JobSpec's fields as a TypedDict for type checkers.

A field's type is the one in JobSpec, and where people may write it shorter, the short form too.
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path

from ftsdk.spec.job import JobSpec

FILE = Path(__file__).with_name("fields.py")
SHORT = {
    "method": "Stage",
    "tuning": "TuningType",
    "dataset": "str | Path | Sequence[str | Path] | Sequence[Mapping[str, object]] | Table",
    "sharding": "ShardingType",
    "checkpoint": 'Literal["auto"]',
    "retry": "int",
    "program": "ProgramType",
}
"""Field -> the short form of its value."""
LOOSE = {"secrets": "list[str] | tuple[str, ...]", "env": "Mapping[str, str]"}
"""Field -> what is accepted in place of the type in JobSpec."""
_HEAD = '''"""The fields of JobSpec for type checkers. Written by `python -m ftsdk.spec.generate`; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

from ftsdk.spec.dataset import Dataset, Table
from ftsdk.spec.hyperparameters import Hyperparameters
from ftsdk.spec.method import Method, Stage
from ftsdk.spec.parts import Budget, Checkpoint, EngineName, Resources, Retry, Tracking
from ftsdk.spec.program import Program, ProgramType
from ftsdk.spec.sharding import Sharding, ShardingType
from ftsdk.spec.tuning import Tuning, TuningType


class SpecFields(TypedDict, total=False):
    """Keyword arguments of `Estimator` and `JobSpec`: every field of JobSpec, in the short forms of YAML too."""

'''
_PLAIN = ("EngineName", "str", "float", "int", "bool", "tuple", "dict")


def source() -> str:
    """The text of `fields.py`."""
    annotations = inspect.get_annotations(JobSpec)
    return _HEAD + "".join(_field(name, annotations[name]) for name in JobSpec.model_fields)


def _field(name: str, annotation: str) -> str:
    kind = LOOSE.get(name, annotation)
    if name in SHORT:
        kind = f"{SHORT[name]} | {kind}"
    if not annotation.startswith(_PLAIN):
        kind += " | Mapping[str, object]"
    text = " ".join((JobSpec.model_fields[name].description or "").split())
    wrapped = textwrap.indent(textwrap.fill(f'"""{text}"""', 116), "    ")
    return f"    {name}: {kind}\n{wrapped}\n"


if __name__ == "__main__":
    FILE.write_text(source(), "utf-8")
