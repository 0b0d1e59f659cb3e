"""Ready-made specs: one flat YAML per model and method in `estimators/`; pipelines are in a folder below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ftsdk.errors import SpecError, did_you_mean
from ftsdk.spec.method import STAGES
from ftsdk.spec.tuning import TUNINGS


class Recipe(NamedTuple):
    """A ready-made spec."""

    name: str
    path: Path
    summary: str
    """The file's first comment line."""


class RecipeDetails(NamedTuple):
    """A recipe with the values that it can be filtered by."""

    name: str
    model: str
    method: str
    tuning: str
    size_b: float | None
    """Billions of parameters, from the name; None if it has no size."""
    accelerator: str
    """E.g. `L40S` or `4 x A100-80GB`; empty for any."""
    summary: str


class Filter(NamedTuple):
    """Conditions on recipes; None matches all."""

    model: str | None = None
    """A part of the recipe's name or of its hub id, e.g. `qwen3`."""
    method: str | None = None
    tuning: str | None = None
    size_b: tuple[float, float] | None = None
    """Least and most billions of parameters."""


_SIZE = re.compile(r"(?<![a-z\d.])(\d+(?:\.\d+)?)b(?![a-z\d])")


def folder() -> Path:
    """Folder of the recipes: in an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "estimators"
    return inside if inside.is_dir() else package.parent / "estimators"


def each() -> Iterator[Recipe]:
    """All recipes by name."""
    for path in sorted(folder().glob("*.yaml")):
        first = path.read_text("utf-8").partition("\n")[0]
        yield Recipe(path.stem, path, first.lstrip("# ").strip())


def described(filters: Filter | None = None) -> Iterator[RecipeDetails]:
    """The recipes that match, by name. Raises SpecError for an unknown method or tuning."""
    filters = filters or Filter()
    _refuse_unknown("method", filters.method, STAGES)
    _refuse_unknown("tuning", filters.tuning, TUNINGS)
    return (recipe for recipe in map(_details, each()) if _fits(recipe, filters))


def _refuse_unknown(what: str, name: str | None, known: tuple[str, ...]) -> None:
    if name is not None and name not in known:
        raise SpecError(f"--{what} {name!r}: choose one of {', '.join(known)}{did_you_mean(name, known)}.")


def _details(recipe: Recipe) -> RecipeDetails:
    import yaml

    data = yaml.safe_load(recipe.path.read_text("utf-8"))
    method, tuning = data.get("method", "sft"), data.get("tuning", "lora")
    size = _SIZE.search(recipe.name)
    return RecipeDetails(
        name=recipe.name,
        model=data["model"],
        method=method if isinstance(method, str) else method["stage"],
        tuning=tuning if isinstance(tuning, str) else tuning["type"],
        size_b=float(size[1]) if size else None,
        accelerator=_accelerator(**data.get("resources", {})),
        summary=recipe.summary,
    )


def _accelerator(accelerator: str = "", accelerators_per_node: int = 1, **_others: object) -> str:
    card, number = accelerator, accelerators_per_node
    return f"{number} x {card}" if card and number > 1 else card


def _fits(recipe: RecipeDetails, filters: Filter) -> bool:
    low, high = filters.size_b or (0.0, float("inf"))
    part = (filters.model or "").lower()
    return (
        (part in recipe.name or part in recipe.model.lower())
        and filters.method in (None, recipe.method)
        and filters.tuning in (None, recipe.tuning)
        and (filters.size_b is None or (recipe.size_b is not None and low <= recipe.size_b <= high))
    )


def pipelines() -> list[Path]:
    """Files of the ready-made pipelines, which `ftsdk run` takes by their names."""
    return sorted(folder().glob("pipelines/*.yaml"))


def path_of(name: str) -> Path:
    """The file of a recipe or of a ready-made pipeline. Raises SpecError for an unknown name."""
    path = next((p for p in (folder() / f"{name}.yaml", *pipelines()) if p.stem == name and p.is_file()), None)
    if path is None or "/" in name:
        known = [*(recipe.name for recipe in each()), *(p.stem for p in pipelines())]
        raise SpecError(
            f"There is no file and no recipe '{name}'{did_you_mean(name, known)}; `ftsdk recipes` lists the recipes."
        )
    return path
