"""Reading a tar archive that may have been made to do harm: one pass, constant memory, files and folders only.

Python's `tarfile` keeps every member, reads extended headers of any size into memory, and follows links when it
extracts. A model needs none of that.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Final, NamedTuple

BLOCK: Final = tarfile.BLOCKSIZE
PIECE_BYTES: Final = 1 << 20
MAX_HEADER_BYTES: Final = 1 << 16
"""Of an extended header, which holds a long name or the attributes of one file."""
MAX_MEMBERS: Final = 100_000
_EXTENDED: Final = (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE)


class RefusedArchiveError(ValueError):
    """An archive that is broken or holds what no model needs; the message names the member."""


class Member(NamedTuple):
    """A file or a folder of an archive."""

    name: str
    bytes: int
    is_folder: bool


class TarReader:
    """The members of an uncompressed stream, in their order; the content of each is read before the next one."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream
        self._left = self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Raises RefusedArchiveError for a link, a device, a sparse file, and headers that are broken or too many."""
        attributes: dict[str, str] = {}
        for count, header in enumerate(self._headers()):
            if count > MAX_MEMBERS:
                raise RefusedArchiveError(f"it has more than {MAX_MEMBERS} members")
            if header.type in _EXTENDED:
                attributes |= self._extended(header)
                continue
            name, size = attributes.get("path") or header.name, _size(attributes.get("size"), header.size)
            attributes = {}
            if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
                raise RefusedArchiveError(f"{name!r:.80} is {_KINDS.get(header.type, 'of an unknown kind')}")
            self._begin(0 if header.isdir() else size)
            yield Member(name, self._left, header.isdir())

    def pieces(self) -> Iterator[bytes]:
        """The content of the member that was yielded last."""
        while self._left:
            data = self._stream.read(min(self._left, PIECE_BYTES))
            if not data:
                raise RefusedArchiveError("it ends in the middle of a file")
            self._left -= len(data)
            yield data

    def _begin(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def _headers(self) -> Iterator[tarfile.TarInfo]:
        while (block := self._next_block()) and any(block):
            try:
                yield tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as problem:
                raise RefusedArchiveError(f"a header is broken ({problem})") from None

    def _next_block(self) -> bytes:
        for _ in self.pieces():
            pass
        self._stream.read(self._padding)
        self._padding = 0
        return self._stream.read(BLOCK)

    def _extended(self, header: tarfile.TarInfo) -> dict[str, str]:
        """The attributes in an extended header that concern the next member; those for all members are ignored."""
        self._begin(_size(None, header.size))
        if header.size > MAX_HEADER_BYTES:
            raise RefusedArchiveError(f"an extended header has {header.size} bytes")
        data = b"".join(self.pieces())
        if header.type == tarfile.GNUTYPE_LONGNAME:
            return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
        attributes = dict(_attributes(data))
        if any(key.startswith("GNU.sparse") for key in attributes):
            raise RefusedArchiveError("a member is a sparse file")
        return attributes if header.type == tarfile.XHDTYPE else {}


def _size(given: str | None, in_header: int) -> int:
    """A member's size; an extended header gives one that has no place in the plain header (more than 8 GiB)."""
    if given is not None and not (given.isdecimal() and len(given) < 19):
        raise RefusedArchiveError(f"a member has the size {given!r:.30}")
    size = in_header if given is None else int(given)
    if size < 0:
        raise RefusedArchiveError(f"a member has the size {size}")
    return size


def _attributes(data: bytes) -> Iterator[tuple[str, str]]:
    """The records `LENGTH KEY=VALUE` of an extended header."""
    while data:
        length, space, _ = data[:16].partition(b" ")
        end = int(length) if length.isdigit() and space else 0
        record = data[len(length) + 1 : end - 1]
        if not record or data[end - 1 : end] != b"\n":
            raise RefusedArchiveError("an extended header is broken")
        data = data[end:]
        key, _, value = record.decode("utf-8", "surrogateescape").partition("=")
        yield key, value


_KINDS: Final = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
