"""Dirt in texts: characters that nobody sees, wrong encodings, HTML entities, stray spaces, a header among the rows.

The prefilter finds candidates by the patterns in `SUSPECT…`; the rules here decide on the texts of those rows. What
languages need is no dirt: joiners in Persian and emoji, marks of direction, no-break spaces in French punctuation and
numbers, entities beside markup or code.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ftsdk.data.formats.chat import Fault, texts_in
from ftsdk.data.formats.unused import CHAT_ROLES

STYLE_CODES: Final = ("odd_space", "html_entity")
"""Findings that are a file's style, and no fault, if many rows have them."""
STYLE_SHARE: Final = 0.2

_HIDDEN: Final = "\u200b\u2060\ufeff\u00ad"
_CONTROL: Final = "\x00-\x08\x0b\x0e-\x1f\x7f"
_LEADS: Final = "\u00c2\u00c3\u00e2"
"""What the first bytes of UTF-8 become if they are read as Windows-1252: Â, Ã, â."""
_ENTITY: Final = r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,4});"
_WIDE: Final = "\u00a0\u2000-\u200a\u202f\u205f"
SUSPECT: Final = (
    r"[\x{200B}\x{2060}\x{FEFF}\x{AD}\x{80}-\x{9F}\x{FFFD}\x{A0}\x{2000}-\x{200A}\x{202F}\x{205F}]"
    r"|[\x{C2}\x{C3}\x{E2}][\x{A0}-\x{BF}\x{20AC}]"
)
"""RE2 pattern over the JSON text of a row that is not ASCII."""
SUSPECT_ESCAPE: Final = (
    r"\\u(?:00[01][0-9a-fA-F]|00[789aA][0-9a-fA-F]|00[aA][dD]|20[0-5][0-9a-fA-F]|2060|[fF][eE][fF]{2}|[fF]{3}[dD])"
)
"""The same over escapes."""
SUSPECT_ENTITY: Final = _ENTITY

_INVISIBLE: Final = re.compile(f"[{_HIDDEN}{_CONTROL}]")
_BROKEN: Final = re.compile(
    "[\x80-\x9f\ufffd]|\u00c3[\u0080-\u00bf\u20ac\u2030]|\u00c2[\u00a0-\u00bf]|\u00e2\u20ac[\u0080-\u00bf\u2018-\u203a\u0152-\u0161\u02dc\u2122\u00a6]"
)
_RUN: Final = re.compile(r"[^\x00-\x7f]{2,}")
_WIDE_SPACE: Final = re.compile(f"[{_WIDE}]")
_FRENCH: Final = re.compile(f"(?:(?<=[\u00ab\\d])[{_WIDE}]|[{_WIDE}](?=[:;!?\u00bb%\u20ac$\\d]))")
_MARKUP: Final = re.compile(r"<[a-zA-Z/!]|```|html|xml|entit", re.IGNORECASE)
_ENTITY_RE: Final = re.compile(_ENTITY)


def dirt(row: dict[str, object], columns: Mapping[str, str]) -> Iterator[Fault]:
    """What is unclean in the columns that the training reads."""
    if is_header(row, columns):
        yield "header_row", "repeats the names of the columns; it is a header, not a row"
        return
    texts = list(_texts(row, columns))
    whole = "\n".join(text for _, text in texts)
    if match := _INVISIBLE.search(whole):
        yield "invisible", f"has {len(_INVISIBLE.findall(whole))} invisible characters, such as {_name(match[0])}"
    if match := _BROKEN.search(whole):
        yield "mojibake", f"has text in a wrong encoding, such as {match[0]!r}"
    if (match := _ENTITY_RE.search(whole)) and not _MARKUP.search(whole):
        yield "html_entity", f"has HTML entities in its text, such as {match[0]}"
    if spaced := next((name for name, text in texts if _is_spaced(_mended(text))), None):
        yield "odd_space", f"'{spaced}' begins or ends with spaces, or has no-break or wide spaces"


def is_header(row: dict[str, object], columns: Mapping[str, str]) -> bool:
    """Whether each text of a row is the name of its column."""
    values = {name: row.get(name) for name in columns.values()}
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    return len(texts) > 1 and all(value.strip() == name.strip() for name, value in texts.items())


def cleaned(row: dict[str, object], columns: Mapping[str, str], codes: set[str]) -> dict[str, object]:
    """The row without the dirt that these codes name."""
    steps = [step for code, step in _STEPS.items() if code in codes]
    return {name: _mapped(value, steps) if name in columns.values() else value for name, value in row.items()}


def _mapped(value: object, steps: list[Callable[[str], str]]) -> object:
    if isinstance(value, str):
        for step in steps:
            value = step(str(value))
        return value
    if isinstance(value, list):
        return [_mapped(item, steps) for item in value]
    return {key: _mapped(item, steps) for key, item in value.items()} if isinstance(value, dict) else value


def _texts(row: dict[str, object], columns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(column, text) of every text that the model sees."""
    for role in (*CHAT_ROLES, "query", "system", "history"):
        if role in columns:
            yield from ((columns[role], text) for text in texts_in(row.get(columns[role])))


def _is_spaced(text: str) -> bool:
    if _WIDE_SPACE.search(text) and _WIDE_SPACE.search(_FRENCH.sub("", text)):
        return True
    if not text.strip():
        return False
    return text[-1] in " \t" or (text[0] in " \t" and "\n" not in text)  # code may begin with its indentation


def _name(char: str) -> str:
    names = {"\u200b": "a zero-width space", "\u2060": "a word joiner", "\ufeff": "a byte-order mark",
             "\u00ad": "a soft hyphen", "\x00": "NUL"}  # fmt: skip
    return names.get(char, f"the control character U+{ord(char):04X}")


# --- cleaning -------------------------------------------------------------------------------------------------
def _mended(text: str) -> str:
    """Runs of other than ASCII letters, decoded once more where that gives UTF-8."""
    return _RUN.sub(lambda run: _decoded(run[0]), text)


def _decoded(run: str) -> str:
    try:
        return b"".join(_byte(char) for char in run).decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return run


def _byte(char: str) -> bytes:
    """The byte that Windows-1252 reads as this character; the five that it lacks are read as they are."""
    return bytes([ord(char)]) if "\x80" <= char <= "\x9f" else char.encode("cp1252")


def _spaced_plainly(text: str) -> str:
    kept = _FRENCH.sub(lambda space: f"\x00{space[0]}\x00", text)  # around what French needs
    parts = kept.split("\x00")
    plain = (part if n % 2 else _WIDE_SPACE.sub(" ", part) for n, part in enumerate(parts))
    return "".join(plain).strip(" \t")


_STEPS: Final[dict[str, Callable[[str], str]]] = {
    "mojibake": _mended,
    "invisible": lambda text: _INVISIBLE.sub("", text),
    "html_entity": html.unescape,
    "odd_space": _spaced_plainly,
}
"""Code -> how its dirt is removed, in the order in which they are applied."""
