"""The packaged data files, each read once, and the table of model shapes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Final, cast

from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.architecture.guessing import SPREAD_OF_BASE, guessed_shape
from ftsdk.sizing.architecture.names import lookups, size_words
from ftsdk.sizing.architecture.shapes import ModelShape


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of one packaged CSV file; lines that begin with `#` hold their sources."""
    text = files("ftsdk.sizing").joinpath("data", name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(csv.DictReader(lines))


def number(text: str | None) -> float | None:
    """A number from a CSV cell; None when the cell is empty, which means unknown."""
    return float(text) if text else None


def config_of_row(row: Mapping[str, str]) -> ModelConfig:
    """A row of the model table as a config.json."""
    named = dict(pair.split("=", 1) for pair in row["other"].split(";") if pair)
    cells = {k: v for k, v in {**row, **named}.items() if k not in _NO_CONFIG and v}
    config = {key: _value(cell) for key, cell in cells.items()}
    return cast(ModelConfig, {**config, "tie_word_embeddings": row["tie_word_embeddings"] == "1"})


def _value(cell: str) -> int | str | bool | list[int]:
    """A cell's number, `no`, list of numbers (`2+5+8`) or word."""
    if "+" in cell:
        return [int(part) for part in cell.split("+")]
    return int(cell) if cell.isdigit() else cell != "no" and cell


_NO_CONFIG: Final = ("name", "other", "hub", "published_parameters")


@cache
def shapes() -> Mapping[str, ModelShape]:
    """Every bundled shape by its plain name, e.g. `qwen3-8b`."""
    return {name: shape_of_config(config_of_row(row)) for row in rows("models.csv") for name in row["name"].split()}


@cache
def shape_of_model(model: str) -> ModelShape | None:
    """Shape of a model that only has a name: from the bundled table, else of the model that its name ends with (as
    fine-tuned models are called), else guessed from the size in its name, else None."""
    names = list(lookups(model))
    exact = next((shapes()[name] for name in names if name in shapes()), None)
    if exact is not None:
        return exact
    plain = names[-1]
    base = next((tail for n, sign in enumerate(plain) if sign == "-" and (tail := plain[n + 1 :]) in shapes()), None)
    if base is not None:
        note = f"a guess: counted like {base}, which its name ends with"
        return replace(shapes()[base], notes=(note,), spread=SPREAD_OF_BASE)
    sizes = size_words(model)
    return guessed_shape(sizes.total, sizes.active) if sizes.total else None
