"""The tables of TRL's arguments: algorithm -> name -> kind. Regenerate them with the trainer's Python, twice:

python -m ftsdk.engines.trl.arguments                                      # PPO, of the TRL beside LLaMA-Factory
PYTHONPATH=.venv/overlays/rl python -m ftsdk.engines.trl.arguments         # GRPO and RLOO, of the lock `rl`
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from functools import cache
from importlib import resources
from typing import TypedDict

from ftsdk.engines.llamafactory.arguments import type_name

TABLE = "arguments.json"


class AlgorithmTable(TypedDict):
    """The arguments of one algorithm."""

    releases: dict[str, str]
    arguments: dict[str, str]
    """Name -> type as text."""


@cache
def known_arguments(algorithm: str) -> dict[str, str]:
    """Every argument of TRL's `grpo`, `rloo` or `ppo`, with its type as text."""
    return dict(_table()[algorithm]["arguments"])


def _table() -> dict[str, AlgorithmTable]:
    table: dict[str, AlgorithmTable] = json.loads(
        resources.files("ftsdk.engines.trl").joinpath(TABLE).read_text("utf-8")
    )
    return table


def read_arguments() -> dict[str, AlgorithmTable]:
    """The packaged table, with the installed TRL's algorithms replaced."""
    from importlib.metadata import version

    import trl

    releases = {name: version(name) for name in ("trl", "transformers")}
    tables: dict[str, AlgorithmTable] = {}
    for algorithm in ("ppo",) if trl.__version__.startswith("0.") else ("grpo", "rloo"):
        config = getattr(importlib.import_module(f"trl.trainer.{algorithm}_config"), f"{algorithm.upper()}Config")
        arguments = {field.name: type_name(field.type) for field in dataclasses.fields(config) if field.init}
        tables[algorithm] = {"releases": releases, "arguments": dict(sorted(arguments.items()))}
    return {**_table(), **tables}


if __name__ == "__main__":
    resources.files("ftsdk.engines.trl").joinpath(TABLE).write_text(json.dumps(read_arguments(), indent=1) + "\n")  # type: ignore[attr-defined]
