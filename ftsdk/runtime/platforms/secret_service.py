"""HTTP calls of the clouds' secret services, with retries."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ftsdk.contract.foreign import JsonObject
from ftsdk.runtime.retry import RetryPolicy

TIMEOUT_S = 20.0


class SecretError(Exception):
    """A secret cannot be fetched; the message names it and the cause."""


class SecretServiceError(OSError):
    """The service responded with an error status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body[:200]}")
        self.body = body
        self.is_final = status < 500 and "Throttl" not in body


def _is_final(problem: Exception) -> bool:
    if isinstance(problem, SecretServiceError):
        return problem.is_final
    return not isinstance(problem, OSError) or isinstance(problem, PermissionError)


RETRY = RetryPolicy(attempts=6, is_final=_is_final)
"""Throttling, 5xx and broken connections are retried."""


def post(sign: Callable[[], Request]) -> JsonObject:
    """The JSON response to the request that `sign` makes for each try. Raises OSError, ValueError or KeyError."""
    return RETRY.call(lambda: _post(sign()))


def _post(request: Request) -> JsonObject:
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:
            content: JsonObject = json.load(response)
            return content
    except HTTPError as problem:
        raise SecretServiceError(problem.code, problem.read().decode("utf-8", "replace")) from None
