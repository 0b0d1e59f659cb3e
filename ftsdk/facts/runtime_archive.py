"""The runtime as one small file that is sent with a job: a zipapp whose name contains the hash of its content.

It also contains the bytecode of each source for the Python that builds the archive, because compiling would take most
of a supervisor's start. Another Python version ignores that bytecode and compiles the source.
"""

from __future__ import annotations

import hashlib
import io
import json
import marshal
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType
from typing import NamedTuple

MAIN = "from ftsdk.runtime.__main__ import main\n\nraise SystemExit(main())\n"
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The oldest that a zip file can hold: the same sources always make the same bytes."""
BYTECODE_HEAD = MAGIC_NUMBER + b"\1\0\0\0" + bytes(8)
"""An unchecked hash-based .pyc (PEP 552): the source beside it has no modification time to compare."""
MARSHAL_VERSION = 2
"""Later versions mark shared and interned objects, which differ from process to process."""


class RuntimeArchive(NamedTuple):
    """A built archive."""

    path: str
    sha256: str
    bytes: int


def build(target_dir: Path | str) -> RuntimeArchive:
    """The archive of this ftsdk's runtime in a folder, as `runtime-<sha12>.pyz`; built only if it is not there yet.

    Raises OSError if the folder cannot be written.
    """
    folder = Path(target_dir).absolute()
    index = folder / f"runtime-{_fingerprint()}.json"
    return _existing(folder, index) or _build(folder, index)


def _existing(folder: Path, index: Path) -> RuntimeArchive | None:
    """The archive that an earlier call built from the same files (same names, sizes and modification times)."""
    with suppress(OSError, ValueError, TypeError):
        archive = RuntimeArchive(*json.loads(index.read_bytes()))
        path = folder / archive.path
        if path.stat().st_size == archive.bytes:
            return archive._replace(path=str(path))
    return None


def _build(folder: Path, index: Path) -> RuntimeArchive:
    data = _archive()
    sha256 = hashlib.sha256(data).hexdigest()
    built = RuntimeArchive(f"runtime-{sha256[:12]}.pyz", sha256, len(data))
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / built.path, data)
    _put(index, json.dumps(built).encode())
    return built._replace(path=str(folder / built.path))


def _sources() -> Iterator[tuple[str, Path]]:
    """(name in the archive, file), in the order of names."""
    package = Path(__file__).parents[1]
    files = [package / "__init__.py", *(package / "contract").glob("*.py"), *(package / "runtime").rglob("*.py")]
    yield from sorted((f"ftsdk/{file.relative_to(package).as_posix()}", file) for file in files)


def _fingerprint() -> str:
    stats = [(str(file), file.stat()) for _, file in _sources()]
    state = repr((MAGIC_NUMBER, [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]))
    return hashlib.sha256(state.encode()).hexdigest()[:12]


def _archive() -> bytes:
    """Stored, not deflated: zlib's output differs between its versions."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", MAIN.encode())
        for name, file in _sources():
            source = file.read_bytes()
            _add(archive, name, source)
            with suppress(ValueError):  # a constant that this marshal version cannot hold: the source will do
                code: CodeType = compile(source, name, "exec", dont_inherit=True)
                _add(archive, f"{name}c", BYTECODE_HEAD + marshal.dumps(code, MARSHAL_VERSION))
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, TIMESTAMP)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _put(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".runtime-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    Path(temporary).chmod(0o644)  # a container's user may be another one
    Path(temporary).replace(path)
