"""Measures of the code: imports, circles, lengths of functions and files, names of classes. Reads sources only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Function:
    """One function; `num_lines` counts decorators and body but not the docstring."""

    where: str
    num_lines: int


@cache
def modules(package: str = "ftsdk") -> Mapping[str, Path]:
    """Dotted name -> file of every module of a package."""
    return {_name(path): path for path in sorted((ROOT / package).rglob("*.py"))}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


@cache
def imports(package: str = "ftsdk") -> Mapping[str, frozenset[str]]:
    """Module -> modules of the same package that it imports anywhere: in functions and under TYPE_CHECKING too.

    `from a.b import c` is an import of `a.b.c` where that is a module, else of `a.b`. A package counts only where its
    own file is named, not as the parent of an imported module.
    """
    known = modules(package)
    return {
        name: frozenset(
            target for node in ast.walk(parsed(path)) for target in _targets(node, known) if target in known
        )
        - {name}
        for name, path in known.items()
    }


def _targets(node: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in known else node.module


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan, 1972: strongly connected components of two nodes or more)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            start = stack.index(node)
            groups.append(sorted(stack[start:]))
            del stack[start:]

    for node in graph:
        if node not in index:
            visit(node)
    return [group for group in groups if len(group) > 1]


def functions(package: str = "ftsdk") -> list[Function]:
    """Every function and method, inner ones included."""
    return [
        Function(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", _num_lines(node))
        for path in modules(package).values()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _num_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    assert node.end_lineno
    docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    skipped = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return node.end_lineno - first + 1 - skipped


def file_lengths(*folders: str) -> dict[str, int]:
    """File -> number of lines, below folders of the repository."""
    return {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }


def folder_sizes(package: str = "ftsdk") -> dict[Path, int]:
    """Folder -> number of Python files directly in it."""
    folders = {path.parent for path in modules(package).values()}
    return {folder: len(list(folder.glob("*.py"))) for folder in sorted(folders)}


def class_names(package: str = "ftsdk") -> dict[str, list[str]]:
    """Name -> modules that define a class of that name at their top level."""
    places: dict[str, list[str]] = {}
    for module, path in modules(package).items():
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    return places


def lines_with(text: str, package: str = "ftsdk") -> int:
    """Number of lines of a package that have a name in them, imports included."""
    pattern = re.compile(rf"\b{re.escape(text)}(?!\w)")
    return sum(
        bool(pattern.search(line))
        for path in modules(package).values()
        for line in path.read_text("utf-8").splitlines()
    )
