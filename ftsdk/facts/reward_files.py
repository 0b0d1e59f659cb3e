"""The user's reward functions: their files are hashed and parsed, not executed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ftsdk.errors import SpecError, did_you_mean
from ftsdk.spec import Method
from ftsdk.spec.rewards import OwnFunction
from ftsdk.storage import fingerprints
from ftsdk.storage.fingerprints import Fingerprint


def inspect_rewards(method: Method, root: Path) -> dict[str, Fingerprint]:
    """Each file that `method.rewards` names, as written there. Raises SpecError for a file or function not there."""
    return {reward.path: _fingerprint(reward, root) for reward in method.rewards if isinstance(reward, OwnFunction)}


def inspect_imports(files: Iterable[Fingerprint]) -> dict[str, dict[str, Fingerprint]]:
    """Path of each file -> the neighbours that it imports, also by way of others: relative path -> file.

    Raises SpecError for an import that cannot travel: one relative to a package above the file.
    """
    return {file.path: _neighbours(Path(file.path)) for file in files}


def _neighbours(start: Path) -> dict[str, Fingerprint]:
    folder, imported, open_files = start.parent, {start}, [start]
    while open_files:
        for file in _imported(open_files.pop(), folder):
            if file not in imported:
                imported.add(file)
                open_files.append(file)
    return {file.relative_to(folder).as_posix(): fingerprints.of(file) for file in sorted(imported - {start})}


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    """Files below `folder` that a file imports, at its top level or inside functions."""
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(folder, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            above = _base_of(node, file, folder)
            parts = (node.module or "").split(".") if node.module else []
            yield from _files_of(above, parts)
            for alias in node.names:
                yield from _files_of(above, [*parts, alias.name])


def _base_of(node: ast.ImportFrom, file: Path, folder: Path) -> Path:
    """The folder in which an import is looked up. Raises SpecError for one above the reward's own folder."""
    if not node.level:
        return folder
    base = file.parents[node.level - 1]
    if file.parent == folder or not base.is_relative_to(folder):
        raise SpecError(
            f"method.rewards: {file}, line {node.lineno}: a relative import needs a package, and the file travels "
            f"without one; write `import NAME` for a file beside it."
        )
    return base


def _files_of(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The module's file or its package's, and the packages above it; none for what is no neighbour."""
    place = folder
    for part in parts:
        place = place / part
        for file in (place / "__init__.py", place.with_name(f"{part}.py")):
            if file.is_file():
                yield file


def _fingerprint(reward: OwnFunction, root: Path) -> Fingerprint:
    path, name = (root / Path(reward.path).expanduser()).absolute(), reward.function.rpartition(":")[2]
    if not path.is_file():
        raise SpecError(f"method.rewards {reward.function}: there is no file {path}.")
    names = _names(path)
    if name not in names:
        raise SpecError(
            f"method.rewards {reward.function}: {path} has no function {name}{did_you_mean(name, names)}; write "
            f"`def {name}(prompts, completions, **columns):` at its top level."
        )
    return fingerprints.of(path)


def _names(path: Path) -> set[str]:
    """Names that the file defines, imports or assigns at its top level."""
    body = _parsed(path).body
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError) as problem:
        raise SpecError(f"method.rewards: {path} cannot be read as Python ({problem}).") from None
