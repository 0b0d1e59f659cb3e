"""The user's reward functions: their files are hashed and parsed, not executed."""

from __future__ import annotations

import ast
from pathlib import Path

from ftsdk.errors import SpecError, did_you_mean
from ftsdk.spec import Method
from ftsdk.spec.rewards import OwnFunction
from ftsdk.storage import fingerprints
from ftsdk.storage.fingerprints import Fingerprint


def inspect_rewards(method: Method, root: Path) -> dict[str, Fingerprint]:
    """Each file that `method.rewards` names, as written there. Raises SpecError for a file or function not there."""
    return {reward.path: _fingerprint(reward, root) for reward in method.rewards if isinstance(reward, OwnFunction)}


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
    try:
        body = ast.parse(path.read_bytes(), str(path)).body
    except (OSError, SyntaxError, ValueError) as problem:
        raise SpecError(f"method.rewards: {path} cannot be read as Python ({problem}).") from None
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names
