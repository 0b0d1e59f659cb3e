"""The packaged data files, each read once, and the table of model shapes."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Final

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.architecture.shapes import ModelShape, count_in_name, shape_of_count

_SUFFIX: Final = re.compile(
    r"[-_.](instruct|chat|base|it|pt|hf|sft|bf16|fp8|fp16|awq|gptq|gguf|bnb|unsloth|thinking|4bit|8bit|int[48]|2507|v1\.0)$"
)


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of one packaged CSV file; lines that begin with `#` hold their sources."""
    text = files("ftsdk.sizing").joinpath("data", name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(csv.DictReader(lines))


def number(text: str | None) -> float | None:
    """A number from a CSV cell; None when the cell is empty, which means unknown."""
    return float(text) if text else None


def config_of_row(row: Mapping[str, str]) -> dict[str, object]:
    """A row of the model table as a config.json."""
    named = dict(pair.split("=", 1) for pair in row["other"].split(";") if pair)
    cells = {k: v for k, v in {**row, **named}.items() if k not in _NO_CONFIG and v}
    return {**{k: _value(v) for k, v in cells.items()}, "tie_word_embeddings": row["tie_word_embeddings"] == "1"}


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
def plain_name(model: str) -> str:
    """`Qwen/Qwen2.5-7B-Instruct` -> `qwen2.5-7b`: the last part, in lower case, without what changes no shape."""
    name = model.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1].lower().replace(" ", "-")
    while True:
        shorter = _SUFFIX.sub("", name)
        if shorter == name:
            return name
        name = shorter


@cache
def shape_of_model(model: str) -> ModelShape | None:
    """Shape of a model that only has a name: from the bundled table, else of the model that its name ends with (as
    fine-tuned models are called), else from the size in its name, else None."""
    name = plain_name(model)
    if name in shapes():
        return shapes()[name]
    base = next(
        (name[dash + 1 :] for dash, sign in enumerate(name) if sign == "-" and name[dash + 1 :] in shapes()), None
    )
    if base is not None:
        return replace(shapes()[base], notes=(f"counted like {base}, which its name ends with",))
    count = count_in_name(model)
    return shape_of_count(count) if count else None
