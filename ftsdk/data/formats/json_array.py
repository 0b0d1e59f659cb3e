"""The elements of one big JSON array, read piece by piece, going on after a broken element."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from ftsdk.data.formats.files import WRAPPER

_SPACE = re.compile(r"[ \t\r\n]*")
_ENDING = re.compile(r"[ \t\r\n]*[,\]]")
_FIRST_KEY = re.compile(r'\{\s*"([^"\\]*)"')
_AFTER_COMMA = re.compile(r",\s*\Z")
_NEAR_END = 64  # characters: an error this close to the end of what is read may only mean that more is to come
_ELEMENT_CHARS_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class BadRow:
    """Stands where a row should be, or for a fault of the whole file."""

    code: str
    message: str
    whole_file: bool = False


def array_elements(stream: TextIO, chunk_chars: int) -> Iterator[str | BadRow]:
    """Elements of the array that the stream holds, as raw JSON text, in order.

    A broken element is given as a BadRow in its place; reading goes on at the next object that has the keys of the
    rows before it. Memory is bounded by `chunk_chars` or the longest element.
    """
    reader = _Reader(stream, chunk_chars)
    is_wrapped = reader.step_into_wrapper()
    if not is_wrapped and reader.peek() != "[":
        why = "is one JSON object, not a list of rows; wrap the rows in [ ] or write one a line"
        yield BadRow("bad_json", why, True)
        return
    reader.position += not is_wrapped
    yield from _elements(reader, is_wrapped)


def _elements(reader: _Reader, is_wrapped: bool) -> Iterator[str | BadRow]:
    separator = "["
    while True:
        if is_wrapped and reader.peek() == "]":
            return
        if reader.peek() in ("", "]"):
            yield from _closed(reader, separator)
            return
        if reader.peek() == ",":
            separator = reader.take_comma() * 2
            continue
        text, fault = reader.element()
        lost = bool(fault) or (not text.startswith("{") and reader.peek() not in (",", "]", ""))
        fault = fault or ("not an object" if lost else _BEFORE.get(separator, "no comma before it"))
        yield BadRow("bad_json", f"is not valid JSON: {fault}") if fault else not_utf8(text) or text
        if lost and not reader.recover():
            return
        separator = "," if lost else reader.take_comma()


_BEFORE = {"[": "", ",": "", ",,": "an extra comma before it"}


def _closed(reader: _Reader, separator: str) -> Iterator[BadRow]:
    """Faults of the list's end: it is missing, follows a comma, or is followed by something."""
    if reader.peek() == "":
        yield BadRow("bad_json", "ends inside the list: the closing ] is missing", True)
        return
    reader.position += 1
    if separator in (",", ",,"):
        yield BadRow("bad_json", "has a comma before the closing ]", True)
    if reader.peek():
        yield BadRow("bad_json", "has something after the closing ]", True)


def not_utf8(text: str) -> BadRow | None:
    """The fault of a text that was decoded with `surrogateescape` from bytes that are not UTF-8, if any."""
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        return BadRow("encoding", f"is not UTF-8: byte 0x{byte:02x}; save the file as UTF-8")
    return None


class _Reader:
    """A window over the stream that grows only while one element does not fit."""

    def __init__(self, stream: TextIO, chunk_chars: int) -> None:
        self.position = 0
        self._stream = stream
        self._chunk = chunk_chars
        self._text = ""
        self._ended = False
        self._decoder = json.JSONDecoder()
        self._keys: frozenset[str] = frozenset()

    def _fill(self) -> bool:
        """Read more; False at the end of the file."""
        if self._ended:
            return False
        kept = self._text[self.position :]
        more = self._stream.read(max(self._chunk, len(kept)))
        self._ended = not more
        self._text, self.position = kept + more, 0
        return not self._ended

    def peek(self) -> str:
        """The next character that is not white space, or an empty string at the end of the file."""
        while True:
            match = _SPACE.match(self._text, self.position)
            self.position = match.end() if match else self.position
            if self.position < len(self._text):
                return self._text[self.position]
            if not self._fill():
                return ""

    def step_into_wrapper(self) -> bool:
        """Step to the first row of an object that holds the rows in a list; False if the text begins otherwise."""
        self.peek()
        begin = WRAPPER.match(self._text, self.position)
        self.position = begin.end() - 1 if begin else self.position
        return begin is not None

    def take_comma(self) -> str:
        """Step over a comma. Gives "," or, without a step, the character there instead."""
        character = self.peek()
        if character == ",":
            self.position += 1
        return character

    def element(self) -> tuple[str, str]:
        """(text, "") of the element that starts here, or ("", what is wrong with it) without a step."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self.position)
            except json.JSONDecodeError as error:
                if self._may_go_on(error) and self._fill():
                    continue
                return "", f"{error.msg} at character {error.pos - self.position + 1} of the row"
            except RecursionError:
                return "", "nested too deeply"
            if end == len(self._text) and self._fill():
                continue
            if isinstance(value, dict) and not self._keys:
                self._keys = frozenset(value)
            text = self._text[self.position : end]
            self.position = end
            return text, ""

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        if len(self._text) - self.position > _ELEMENT_CHARS_MAX:
            return False
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _NEAR_END

    def recover(self) -> bool:
        """Step from a broken element to the next whole one; False if there is none."""
        first = _FIRST_KEY.match(self._text, self.position)
        keys = self._keys or frozenset(first.groups() if first else ())
        self.position += 1
        while True:
            start = self._text.find("{", self.position)
            if start < 0:
                self.position = len(self._text)
                if not self._fill():
                    return False
                continue
            after_comma = _AFTER_COMMA.search(self._text, max(0, start - _NEAR_END), start)
            self.position = start
            if self._is_row(keys) or (after_comma and self._starts_like_a_row(keys)):
                return True
            self.position += 1

    def _starts_like_a_row(self, keys: frozenset[str]) -> bool:
        """Whether an object that need not be whole starts here with one of these keys: the next broken row."""
        first = _FIRST_KEY.match(self._text, self.position)
        return first is not None and first.group(1) in keys

    def _is_row(self, keys: frozenset[str]) -> bool:
        """Whether a whole object with at least half of these keys, followed by , or ], starts here."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self.position)
            except json.JSONDecodeError as error:
                if self._may_go_on(error) and self._fill():
                    continue
                return False
            except RecursionError:
                return False
            if not _ENDING.match(self._text, end) and len(self._text) - end < _NEAR_END and self._fill():
                continue
            return bool(_ENDING.match(self._text, end)) and 2 * len(keys & value.keys()) >= len(keys)
