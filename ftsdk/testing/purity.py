"""A world without windows: inside `sealed()` files, network, processes, clock and environment all raise."""

from __future__ import annotations

import builtins
import io
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

WINDOWS: tuple[tuple[Any, str], ...] = (
    (builtins, "open"),
    (io, "open"),
    (os, "open"),
    (os, "stat"),
    (os, "lstat"),
    (os, "scandir"),
    (os, "listdir"),
    (os, "getcwd"),
    (os, "getenv"),
    (os, "environ"),
    (os, "urandom"),
    (random, "random"),
    (socket, "socket"),
    (subprocess, "Popen"),
    (time, "time"),
    (time, "time_ns"),
    (time, "monotonic"),
)


class LookedOutsideError(AssertionError):
    """Something that should be pure looked at the world."""


class _Shut:
    """Raises whatever is done with it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: object, **named: object) -> object:
        raise LookedOutsideError(f"{self._name}{arguments!r} was called")

    def __getattr__(self, name: str) -> object:
        raise LookedOutsideError(f"{self._name}.{name} was used")

    __getitem__ = __contains__ = __iter__ = __call__


@contextmanager
def sealed() -> Iterator[None]:
    """Shut every window for the time of a `with` block."""
    patches = [mock.patch.object(place, name, _Shut(f"{place.__name__}.{name}")) for place, name in WINDOWS]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
