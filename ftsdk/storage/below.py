"""Creating files below a folder and nowhere else, whatever links are in it."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ftsdk.runtime.storage.names import UnsafeNameError, relative_parts

_RELATIVE = os.open in os.supports_dir_fd
"""Windows opens nothing relative to a folder; there the names alone are checked, and links need a privilege."""
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class FolderWriter:
    """Writes files of foreign names below a folder.

    Every folder on the way is opened relative to the one above it without following links, and every file appears
    whole under a name of its own, so nothing is written through a link that is there already or appears meanwhile.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._spellings: dict[str, str] = {}
        self._files: set[str] = set()

    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write a file, replacing one of that name from before; returns its bytes.

        Raises UnsafeNameError for a name that leads out, that comes twice, or that differs from another one only in
        case; OSError where the system refuses.
        """
        *folders, file = parts = relative_parts(name)
        self._check_spelling(parts)
        if "/".join(parts) in self._files:
            raise UnsafeNameError(f"{name!r:.80} comes twice")
        self._files.add("/".join(parts))
        with self._opened(folders) as folder:
            return _write(folder, file, pieces)

    def make_folder(self, name: str) -> None:
        """Make a folder, if it is not there; `.` is the folder itself. Raises as `write` does."""
        if name.strip("./") or ".." in name:
            parts = relative_parts(name)
            self._check_spelling(parts)
            with self._opened(parts):
                pass

    def _check_spelling(self, parts: Iterable[str]) -> None:
        path = ""
        for part in parts:
            path = f"{path}/{part}"
            spelling = self._spellings.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
            if spelling != path:
                raise UnsafeNameError(f"{path[1:]!r:.80} and {spelling[1:]!r:.80} are one name on some systems")

    @contextmanager
    def _opened(self, folders: Iterable[str]) -> Iterator[int | Path]:
        """A descriptor of a folder below the root, made if it is not there; its path on Windows."""
        if not _RELATIVE:
            path = self._root.joinpath(*folders)
            path.mkdir(parents=True, exist_ok=True)
            yield path
            return
        descriptor = os.open(self._root, os.O_RDONLY)
        try:
            for name in folders:
                above, descriptor = descriptor, _open_folder(descriptor, name)
                os.close(above)
            yield descriptor
        finally:
            os.close(descriptor)


def _open_folder(above: int, name: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
    return os.open(name, _FOLDER, dir_fd=above)


def _write(folder: int | Path, name: str, pieces: Iterable[bytes]) -> int:
    """Write a temporary file, then rename it, which replaces a link instead of following it."""
    at = {"dir_fd": folder} if isinstance(folder, int) else {}
    prefix = "" if isinstance(folder, int) else f"{folder}{os.sep}"
    temporary, count = f"{prefix}.part-{os.urandom(4).hex()}", 0
    try:
        with os.fdopen(os.open(temporary, _NEW_FILE, 0o644, **at), "wb") as file:
            for piece in pieces:
                count += file.write(piece)
        within = folder if isinstance(folder, int) else None
        os.replace(temporary, f"{prefix}{name}", src_dir_fd=within, dst_dir_fd=within)
    except BaseException:
        os.unlink(temporary, **at)
        raise
    return count
