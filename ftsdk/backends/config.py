"""`ftsdk.toml`: where it is looked for, and whose it must be.

A configuration names programs that are run, endpoints that get credentials, and images. So it counts only if no one
but this user and root could have written it, or if this user has trusted exactly its content (`ftsdk config trust`).
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from stat import S_IWGRP, S_IWOTH
from typing import Final

from ftsdk.errors import SpecError
from ftsdk.home import home_dir

FILE_NAME: Final = "ftsdk.toml"
REPOSITORY_MARK: Final = ".git"


def tables(backend: str) -> Iterator[dict[str, object]]:
    """A backend's options out of files, weakest first: those of ftsdk's home, then those of the nearest ftsdk.toml.

    Raises SpecError for a file that is no TOML, and for a home or a file with such options that others could have
    written.
    """
    home = home_dir()
    _require_trust(home, "the folder of FTSDK_HOME (default ~/.ftsdk)")
    for path in (home / FILE_NAME, nearest(Path.cwd())):
        if path is not None and path.is_file():
            yield _table(path, backend)


def nearest(folder: Path) -> Path | None:
    """The ftsdk.toml of a folder or of the nearest one above it.

    The last folder that is looked at is the home folder, a repository's root, or the root of a file system.
    """
    device = folder.stat().st_dev
    for candidate in (folder, *folder.parents):
        if candidate.stat().st_dev != device:
            return None
        if (path := candidate / FILE_NAME).is_file():
            return path
        if candidate == Path.home() or (candidate / REPOSITORY_MARK).exists():
            return None
    return None


def _table(path: Path, backend: str) -> dict[str, object]:
    """Reads once, so that what was checked is what counts."""
    try:
        with path.open("rb") as file:
            stat, content = os.fstat(file.fileno()), file.read()
        data = tomllib.loads(content.decode())
    except (OSError, ValueError) as problem:
        raise SpecError(f"{path} cannot be read as TOML ({problem}).") from problem
    table = data.get(backend, {})
    if not isinstance(table, dict):
        raise SpecError(f"{path}: [{backend}] should be a table.")
    if table:
        _require_trust(path, f"its options for {backend}", stat=stat, content=content)
    return table


# --- trust ----------------------------------------------------------------------------------------------------
def trust(path: Path) -> Path:
    """Let a file's present content, or a home folder, count although others could have written it.

    Returns the file that records it. Raises SpecError if `path` does not exist.
    """
    if not path.exists():
        raise SpecError(f"{path} does not exist: name a ftsdk.toml, or the folder of FTSDK_HOME.")
    listed = _trusted_file()
    listed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = _trusted() | {str(path.resolve()): _digest(path)}
    temporary = listed.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    temporary.chmod(0o600)
    return temporary.replace(listed)


def _require_trust(path: Path, what: str, *, stat: os.stat_result | None = None, content: bytes | None = None) -> None:
    """Raises SpecError if others could have written an existing file or folder that is not trusted."""
    if stat is None and not path.exists():
        return
    reason = _writable_by_others(stat or path.stat())
    if reason and _trusted().get(str(path.resolve())) != _digest(path, content):
        raise SpecError(
            f"{path} {reason}, and {what} could name programs to run or endpoints that get credentials: look at it and "
            f"run `ftsdk config trust {path}`, or use one of your own that only you can write."
        )


def _writable_by_others(stat: os.stat_result) -> str:
    """Why another user could have written it; empty if none could. Windows has no such bits: empty."""
    if not hasattr(os, "getuid"):
        return ""
    if stat.st_uid not in (0, os.getuid()):
        return f"belongs to another user ({_user(stat.st_uid)})"
    if stat.st_mode & S_IWOTH:
        return "can be written by everybody"
    if stat.st_mode & S_IWGRP and not _is_own_group(stat.st_gid):
        return "can be written by a group"
    return ""


def _user(uid: int) -> str:
    from pwd import getpwuid

    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return f"id {uid}"


def _is_own_group(gid: int) -> bool:
    """Whether it is this user's private group, which distributions create with each user (umask 002)."""
    from grp import getgrgid

    try:
        group = getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == _user(os.getuid()) and set(group.gr_mem) <= {group.gr_name}


def _trusted_file() -> Path:
    """Below the user's own home, wherever FTSDK_HOME points to."""
    return Path.home() / ".ftsdk" / "trusted.json"


def _trusted() -> dict[str, str]:
    """Path -> digest of what was trusted there; empty if others could have written that file."""
    path = _trusted_file()
    if not path.is_file() or any(_writable_by_others(one.stat()) for one in (path.parent, path)):
        return {}
    known: dict[str, str] = json.loads(path.read_text("utf-8"))
    return known


def _digest(path: Path, content: bytes | None = None) -> str:
    """SHA-256 of a file; a folder has none, it is trusted by its name."""
    if content is None and path.is_dir():
        return "folder"
    return hashlib.sha256(path.read_bytes() if content is None else content).hexdigest()
