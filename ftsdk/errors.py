"""The one error tree. Each class owns its exit code; each message says what is wrong, where, and what to do.

FtsdkError                    1
├── SpecError                 2   the description of the training is wrong
├── DataError                 3   the data is wrong
├── UnsupportedError          4   this backend or engine cannot do what the spec asks
├── BackendError             10   the platform refused or failed
│   ├── NotInstalledError    11   a program or an extra is missing
│   ├── AuthError            12   credentials are missing or refused
│   ├── QuotaError           13
│   ├── CapacityError        14
│   └── UnavailableError     15   it does not answer
├── JobNotFoundError         20
├── JobFailedError           21   the job ended without a model
└── WaitTimeoutError         22   the time to wait is over; the job itself goes on
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Final

MAX_WORD, MAX_SENTENCE = 300, 2000
"""A message shows the beginning and the end of what is longer: who wrote the value knows the rest."""
_CONTROL: Final = re.compile(
    r"(?!\x1b\[(?:0|1|38;5;\d{1,3})m)[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LONG_WORD: Final = re.compile(rf"\S{{{MAX_WORD},}}")


def printable(text: str) -> str:
    """Text for a terminal: every control character but tab, line break and plain colours as its escape, as `\\x07`.

    So a file name, a log line or a server's answer cannot move the cursor, set the clipboard or hide other text.
    """
    return text if text.isprintable() else _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def on_one_line(text: str) -> str:
    """A key or a name as it can stand in a sentence, line breaks as their escapes: YAML allows them in keys."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shortened(text: str) -> str:
    """Text without the middle of words longer than MAX_WORD, and of the whole if it is longer than MAX_SENTENCE."""
    text = _LONG_WORD.sub(lambda match: f"{match[0][:60]}…{match[0][-20:]}", text)
    return text if len(text) <= MAX_SENTENCE else f"{text[: MAX_SENTENCE - 400]} … {text[-300:]}"


class FtsdkError(Exception):
    """Base of every error that ftsdk raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """The message, fit for a terminal whatever the values in it are."""
        return printable(shortened(super().__str__()))


class SpecError(FtsdkError, ValueError):
    """The spec is wrong: an unknown key, a value out of range, a file that is not there."""

    exit_code = 2


class DataError(FtsdkError, ValueError):
    """The data cannot be read or does not fit the method."""

    exit_code = 3


class UnsupportedError(FtsdkError):
    """The spec is valid, but this backend or engine cannot do it; the message names the alternative."""

    exit_code = 4


class BackendError(FtsdkError):
    """The backend refused or failed."""

    exit_code = 10


class NotInstalledError(BackendError):
    """A program, a Python package or an extra is missing."""

    exit_code = 11


class AuthError(BackendError):
    """Credentials are missing, expired or not allowed to do this."""

    exit_code = 12


class QuotaError(BackendError):
    """The account's quota does not allow it."""

    exit_code = 13


class CapacityError(BackendError):
    """The hardware is not to be had right now."""

    exit_code = 14


class UnavailableError(BackendError):
    """The service does not answer."""

    exit_code = 15


class JobNotFoundError(FtsdkError, LookupError):
    """No such job where the URI points to."""

    exit_code = 20


class JobFailedError(FtsdkError):
    """The job ended without a model."""

    exit_code = 21

    def __init__(self, message: str, *, reason: str = "error", hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.reason = reason
        self.hint = hint


class WaitTimeoutError(FtsdkError, TimeoutError):
    """The time that the caller was willing to wait is over; the job itself goes on."""

    exit_code = 22


def unreadable(problem: OSError, otherwise: object = "a file") -> SpecError:
    """A file that a spec names and the system refuses, such as a name that is too long for the file system.

    Args:
        problem: the system's error.
        otherwise: what to name where the error names no file.
    """
    name, reason = problem.filename or otherwise, problem.strerror or problem
    return SpecError(f"{name} cannot be read ({reason}): check the path and its permissions.")


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known name, or an empty string; it goes before a sentence's full stop."""
    from difflib import get_close_matches

    close = get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
