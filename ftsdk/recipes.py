"""Ready-made specs: one flat YAML per model and method in `estimators/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ftsdk.errors import SpecError, did_you_mean


class Recipe(NamedTuple):
    """A ready-made spec."""

    name: str
    path: Path
    summary: str
    """The file's first comment line."""


def folder() -> Path:
    """Where recipes lie: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "estimators"
    return inside if inside.is_dir() else package.parent / "estimators"


def each() -> Iterator[Recipe]:
    """All recipes by name."""
    for path in sorted(folder().glob("*.yaml")):
        first = path.read_text("utf-8").partition("\n")[0]
        yield Recipe(path.stem, path, first.lstrip("# ").strip())


def path_of(name: str) -> Path:
    """The file of a recipe. Raises SpecError for an unknown name."""
    path = folder() / f"{name}.yaml"
    if not path.is_file() or "/" in name:
        known = [recipe.name for recipe in each()]
        raise SpecError(
            f"There is no file and no recipe '{name}'{did_you_mean(name, known)}; `ftsdk recipes` lists the recipes."
        )
    return path
