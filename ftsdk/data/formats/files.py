"""Data files: what a user names, which files that means, their kind, and their decompressed bytes."""

from __future__ import annotations

import glob
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, cast

from ftsdk.errors import DataError

KINDS: Mapping[str, str] = MappingProxyType(
    {
        ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".txt": "text",
        ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".xlsx": "excel",
    }
)  # fmt: skip
TEXT_KINDS = ("jsonl", "json", "csv", "tsv", "text")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
LINE_BYTES_MAX = 256 << 20
MARK = b"\xef\xbb\xbf"
"""The byte-order mark of UTF-8."""
WRAPPER = re.compile(
    r'\{(\s*"[^"]*"\s*:\s*("[^"]*"|[\w.+-]+)\s*,)*\s*"(data|rows|train|examples|instances|items|records)"\s*:\s*\[\s*\{'
)
"""The beginning of an object that holds the rows in a list, such as `{"version": "1", "data": [{`."""
_ROW_WORDS = {"jsonl": "line", "text": "line"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file, folder or pattern and the shape of its rows; what is left out is detected from the rows."""

    path: str | Path
    format: str | None = None
    """A name from `catalog.FORMATS`."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role -> column."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Names inside chat messages, as in `catalog.SHAREGPT_TAGS`."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file on disk: its kind and its compression."""

    path: Path
    kind: str
    """jsonl, json, csv, tsv, text, parquet, arrow or excel."""
    compression: str
    """gzip, zstd or empty."""

    @property
    def row_word(self) -> str:
        """What a row number counts: physical lines of JSONL and text, records of all else (1 = first)."""
        return _ROW_WORDS.get(self.kind, "row")

    def open(self) -> BinaryIO:
        """The file's bytes, decompressed while they are read; UTF-16 with its mark becomes UTF-8."""
        stream = self._decompressed()
        if self.kind not in TEXT_KINDS:
            return stream
        is_wide = stream.read(2) in UTF16_MARKS
        stream.seek(0)
        return io.BufferedReader(_Utf8(stream), 1 << 16) if is_wide else stream

    def _decompressed(self) -> BinaryIO:
        if self.compression == "gzip":
            import gzip

            return cast("BinaryIO", gzip.open(self.path, "rb"))
        if self.compression == "zstd":
            return cast("BinaryIO", _open_zstd(self.path))
        return self.path.open("rb")

    def head(self, size: int = 4) -> bytes:
        """The first bytes, decompressed."""
        with self.open() as stream:
            return stream.read(size)


def is_utf16(head: bytes) -> bool:
    """Whether a text that begins so is UTF-16, by its mark or by the zeros beside the first letters."""
    return head.startswith(UTF16_MARKS) or head[:4].count(0) >= 2


class _Utf8(io.RawIOBase):
    """UTF-16 as UTF-8, piece by piece."""

    def __init__(self, stream: BinaryIO) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-16", newline="")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or self._text.read(1 << 16).encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        self._text.close()
        super().close()


def new_file(path: str | Path) -> BinaryIO:
    """Create a file and the folders above it. Raises DataError if it exists: nothing is overwritten."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        return target.open("xb")
    except FileExistsError as error:
        raise DataError(f"{target} exists; choose another output or remove it.") from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what goes wrong while a file is read or unpacked into a DataError."""
    try:
        yield
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; check access and that the file is whole.") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # the class has two homes
            raise
        raise DataError(f"{path} cannot be unpacked: {error}; pack it again.") from error


def _open_zstd(path: Path) -> object:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python >= 3.14
    except ImportError:
        from backports import zstd
    return zstd.open(path, "rb")


def source(path: str | Path, *, may_be_empty: bool = False) -> SourceFile:
    """The kind of a file, from its name and, for JSON, its first bytes.

    Raises DataError if it is missing, empty (unless that is allowed), not a file or of a kind that is not read.
    """
    file = Path(path)
    if file.is_symlink() and not file.exists():
        raise DataError(f"{file} is a link to {file.readlink()}, which does not exist; correct the link.")
    if not file.exists():
        raise DataError(f"{file} does not exist; check the path.")
    if file.is_dir():
        raise DataError(f"{file} is a folder; give its files or a pattern such as '{file}/*.jsonl'.")
    compression = _COMPRESSIONS.get(file.suffix.lower(), "")
    inner = Path(file.stem).suffix.lower() if compression else file.suffix.lower()
    if inner not in KINDS:
        known = ", ".join(KINDS)
        raise DataError(f"{file} is not of a known kind; known endings: {known}, also with .gz or .zst after them.")
    if file.stat().st_size == 0 and not may_be_empty:
        raise DataError(f"{file} is empty; write at least one row into it.")
    by_name = SourceFile(file, KINDS[inner], compression)
    return SourceFile(file, _json_kind(by_name), compression) if by_name.kind in ("json", "jsonl") else by_name


def expand(paths: Iterable[str | Path], *, may_be_empty: bool = False) -> list[SourceFile]:
    """The files that paths, folders (every file of a known kind, sorted by name) and patterns match; no file twice.

    Raises DataError if one of them matches no file.
    """
    files: dict[Path, None] = {}
    for path in paths:
        for file in _matches(path):
            files.setdefault(file)
    return [source(file, may_be_empty=may_be_empty) for file in files]


def _matches(path: str | Path) -> list[Path]:
    base = Path(path)
    if base.is_dir():
        files = (p for p in base.iterdir() if p.is_file() and p.name != "dataset_info.json")
        matches = sorted(p for p in files if _has_known_kind(p))
    elif not base.exists() and glob.has_magic(str(path)):
        matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())  # noqa: PTH207
    else:
        matches = [base]
    if not matches:
        raise DataError(f"{path} matches no data file; known endings: {', '.join(KINDS)}.")
    return matches


def _has_known_kind(path: Path) -> bool:
    suffixes = [s.lower() for s in path.suffixes]
    return bool(suffixes) and next(s for s in [*reversed(suffixes), ""] if s not in _COMPRESSIONS) in KINDS


def _json_kind(source: SourceFile) -> str:
    """`json` for one array or object over the whole file, `jsonl` for one object a line.

    The content decides, not the name: LLaMA-Factory gives both endings to the same loader.
    """
    with readable(source.path):
        text = source.head(65536).decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    first, second = (*lines, "", "")[:2]
    if second.startswith("{") and second.endswith("}") and (first.endswith("]") or not text.startswith("[")):
        return "jsonl"  # whatever its first line is
    if text.startswith("[") or WRAPPER.match(text):
        return "json"
    if source.kind == "json" and first.startswith("{") and not first.endswith("}") and second:
        return "json"  # an object that goes on over several lines
    return "jsonl"
