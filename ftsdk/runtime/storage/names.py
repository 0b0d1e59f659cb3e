"""File names that come from elsewhere (an archive, a bucket's listing, a manifest) and must stay below a folder."""

from __future__ import annotations

import re
from typing import Final

MAX_NAME_BYTES: Final = 255
"""Of one part of a path, as on Linux's file systems; Windows and macOS allow as many characters."""
MAX_DEPTH: Final = 32
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows opens as a device whatever the folder."""


class UnsafeNameError(ValueError):
    """A name that does not stay below its folder on every system; the message says why."""


def relative_parts(name: str) -> tuple[str, ...]:
    """The folders and the file of a relative name with forward slashes; `.` and empty parts are left out.

    Raises UnsafeNameError for an absolute name, `..`, a drive, a backslash, a control character, a name that Windows
    opens as a device, and for no name at all.
    """
    if name.startswith("/"):
        raise UnsafeNameError(f"{name!r:.80} is an absolute name")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not 0 < len(parts) <= MAX_DEPTH:
        raise UnsafeNameError(f"{name!r:.80} has {len(parts)} parts")
    for part in parts:
        if problem := _problem(part):
            raise UnsafeNameError(f"{name!r:.80} {problem}")
    return parts


def _problem(part: str) -> str:
    if part == "..":
        return "leads out of its folder"
    if not part.isprintable() or any(char in part for char in "\\:"):
        return "holds a character that no file name of a model has"
    if len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
        return f"has a part of more than {MAX_NAME_BYTES} bytes"
    if _DEVICE.fullmatch(part) or part.endswith((".", " ")):
        return "means something else on Windows"
    return ""
