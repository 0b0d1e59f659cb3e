"""The runtime as one small file that travels with a job: a zipapp whose name says what is in it."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

MAIN = "from ftsdk.runtime.__main__ import main\n\nraise SystemExit(main())\n"
CONTRACT_FILES = ("__init__.py", "contract.py")
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The oldest that a zip file can hold: the same sources always make the same bytes."""


class RuntimeArchive(NamedTuple):
    """A built archive."""

    path: str
    sha256: str
    bytes: int


def build(target_dir: Path | str) -> RuntimeArchive:
    """The archive of this ftsdk's runtime in a folder, as `runtime-<sha12>.pyz`; written only if it is not there yet.

    Raises OSError if the folder cannot be written.
    """
    data, sha256 = _archive(_fingerprint())
    target = Path(target_dir).absolute() / f"runtime-{sha256[:12]}.pyz"
    if not target.is_file() or target.stat().st_size != len(data):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".runtime-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)  # a container's user may be another one
        Path(temporary).replace(target)
    return RuntimeArchive(str(target), sha256, len(data))


def _sources() -> Iterator[tuple[str, Path]]:
    """(name in the archive, file), in the order of names."""
    package = Path(__file__).parent
    files = [package / name for name in CONTRACT_FILES] + list((package / "runtime").rglob("*.py"))
    yield from sorted((f"ftsdk/{file.relative_to(package).as_posix()}", file) for file in files)


def _fingerprint() -> tuple[tuple[str, int, int], ...]:
    stats = [(name, file.stat()) for name, file in _sources()]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


@lru_cache(maxsize=1)
def _archive(_fingerprint: tuple[tuple[str, int, int], ...]) -> tuple[bytes, str]:
    """The archive's bytes and their SHA-256. Stored, not deflated: zlib's output differs between its versions."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", MAIN.encode())
        for name, file in _sources():
            _add(archive, name, file.read_bytes())
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, TIMESTAMP)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)
