"""Files on disk: which kind they are, where they are, and their bytes without compression."""

from __future__ import annotations

import glob
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, cast

from ftsdk.errors import DataError

KINDS: Mapping[str, str] = MappingProxyType(
    {
        ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".txt": "text",
        ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".xlsx": "excel",
    }
)  # fmt: skip
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
LINE_BYTES_MAX = 256 << 20
MARK = b"\xef\xbb\xbf"
"""The byte-order mark of UTF-8."""
_ROW_WORDS = {"jsonl": "line", "text": "line"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file and what its name says about it."""

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
        """The file's bytes, decompressed while they are read."""
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
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or head[:4].count(0) >= 2


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what goes wrong while a file is read or unpacked into a DataError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
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


def source(path: str | Path) -> Source:
    """The kind of a file, from its name and, for JSON, its first bytes.

    Raises DataError if it is missing, empty, not a file or of a kind that is not read.
    """
    file = Path(path)
    if not file.exists():
        raise DataError(f"{file} does not exist; check the path.")
    if file.is_dir():
        raise DataError(f"{file} is a folder; give its files or a pattern such as '{file}/*.jsonl'.")
    compression = _COMPRESSIONS.get(file.suffix.lower(), "")
    inner = Path(file.stem).suffix.lower() if compression else file.suffix.lower()
    if inner not in KINDS:
        known = ", ".join(KINDS)
        raise DataError(f"{file} is not of a known kind; known endings: {known}, also with .gz or .zst after them.")
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty; write at least one row into it.")
    found = Source(file, KINDS[inner], compression)
    return Source(file, _json_kind(found), compression) if found.kind in ("json", "jsonl") else found


def expand(paths: Iterable[str | Path]) -> list[Source]:
    """Files behind paths, folders (every file of a known kind, by name) and patterns; no file twice.

    Raises DataError if something stands for no file at all.
    """
    files: dict[Path, None] = {}
    for path in paths:
        for file in _matches(path):
            files.setdefault(file)
    return [source(file) for file in files]


def _matches(path: str | Path) -> list[Path]:
    base = Path(path)
    if base.is_dir():
        found = sorted(p for p in base.iterdir() if p.is_file() and _known(p) and p.name != "dataset_info.json")
    elif not base.exists() and glob.has_magic(str(path)):
        found = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())  # noqa: PTH207
    else:
        found = [base]
    if not found:
        raise DataError(f"{path} stands for no data file; known endings: {', '.join(KINDS)}.")
    return found


def _known(path: Path) -> bool:
    suffixes = [s.lower() for s in path.suffixes]
    return bool(suffixes) and next(s for s in [*reversed(suffixes), ""] if s not in _COMPRESSIONS) in KINDS


def _json_kind(found: Source) -> str:
    """`json` for one array or object over the whole file, `jsonl` for one object a line.

    The content decides, not the name: LLaMA-Factory gives both endings to the same loader.
    """
    with readable(found.path):
        text = found.head(65536).decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    first, second = (*lines, "", "")[:2]
    if second.startswith("{") and second.endswith("}") and (first.endswith("]") or not text.startswith("[")):
        return "jsonl"  # whatever its first line is
    if text.startswith("["):
        return "json"
    if found.kind == "json" and first.startswith("{") and not first.endswith("}") and second:
        return "json"  # an object that goes on over several lines
    return "jsonl"
