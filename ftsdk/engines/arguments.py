"""The table of LLaMA-Factory's arguments: name -> kind. Regenerate it with the trainer's Python:

python -m ftsdk.engines.arguments > ftsdk/engines/llamafactory_arguments.json
"""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib import resources
from typing import Any

TABLE = "llamafactory_arguments.json"


@cache
def known_arguments() -> dict[str, str]:
    """Every argument of the LLaMA-Factory release that we drive, with its type as text."""
    table: dict[str, Any] = json.loads(resources.files("ftsdk.engines").joinpath(TABLE).read_text("utf-8"))
    return dict(table["arguments"])


def read_arguments() -> dict[str, Any]:
    """Ask the installed LLaMA-Factory for its release and its arguments."""
    import dataclasses
    from importlib.metadata import version

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
    return {"releases": releases, "arguments": dict(sorted(arguments.items()))}


def type_name(kind: Any) -> str:
    """A dataclass field's type as text."""
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind)).replace("typing.", "")


if __name__ == "__main__":
    json.dump(read_arguments(), sys.stdout, indent=1)
    sys.stdout.write("\n")
