"""Temporary credentials that a platform's address serves: fetched with retries, renewed early, kept until they expire.

The addresses fail now and then (throttling, 5xx, a restarted agent). A failed renewal must not lose a save while the
keys at hand are still valid.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import TypedDict
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ftsdk.runtime.retry import RetryPolicy

TIMEOUT_S = 5.0
EARLY_S = 900.0
"""Keys are renewed from so many seconds before their end on."""
PAUSE_S = 10.0
"""Shortest time between two renewals while the keys at hand are valid."""
RETRY = RetryPolicy(attempts=6, max_pause_s=5.0, is_final=lambda problem: isinstance(problem, PermissionError))
"""For the first fetch, and once the keys at hand have expired: about six seconds."""
UNAVAILABLE = "the address of the credentials does not answer"
"""Part of the message of a failure that may pass."""


class Credential(TypedDict):
    """Keys as obstore takes them."""

    access_key_id: str
    secret_access_key: str
    token: str | None
    expires_at: datetime | None


class RenewedCredentials:
    """A credential provider for obstore, which calls it before each request; safe for threads.

    Args:
        fetch: returns new keys. Raises PermissionError where there are none for this job, OSError otherwise.
    """

    def __init__(self, fetch: Callable[[], Credential]) -> None:
        self._fetch = fetch
        self._lock = Lock()
        self._credential: Credential | None = None
        self._next_renewal = 0.0

    def __call__(self) -> Credential:
        """Valid keys. Raises OSError if there are none and none can be fetched."""
        with self._lock:
            credential = self._renewed()
        if credential["expires_at"] is None:
            return credential.copy()
        return {**credential, "expires_at": datetime.now(UTC)}  # obstore keeps nothing: how long is decided here

    def expire(self) -> bool:
        """Fetch new keys at the next call, because the service calls these expired: its clock may run ahead, or they
        ended on the way. False for keys that never expire."""
        with self._lock:
            if self._credential is None or self._credential["expires_at"] is None:
                return False
            self._credential = {**self._credential, "expires_at": datetime.now(UTC)}
        return True

    def _renewed(self) -> Credential:
        credential, left_s = self._credential, self._left_s()
        if credential and (left_s > EARLY_S or (left_s > 0 and time.monotonic() < self._next_renewal)):
            return credential
        try:
            credential = self._credential = self._fetch() if left_s > 0 else RETRY.call(self._fetch)
        except (OSError, ValueError, KeyError) as problem:
            if credential is None or left_s <= 0:
                raise _failure(problem, had_keys=credential is not None) from None
        self._next_renewal = time.monotonic() + PAUSE_S
        return credential

    def _left_s(self) -> float:
        if self._credential is None:
            return 0.0
        ends: datetime | None = self._credential["expires_at"]
        return float("inf") if ends is None else (ends - datetime.now(UTC)).total_seconds()


def read_address(url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> bytes:
    """The body of a response from a loopback or link-local address. Raises OSError."""
    request = Request(url, headers=dict(headers or {}), method=method)
    with urlopen(request, timeout=TIMEOUT_S) as response:
        data: bytes = response.read()
    return data


def credential_of(data: bytes, *, secret: str, token: str) -> Credential:
    """A credential from a JSON document whose fields have these names. Raises ValueError or KeyError."""
    keys = json.loads(data)
    ends = keys.get("Expiration")
    return {
        "access_key_id": keys["AccessKeyId"],
        "secret_access_key": keys[secret],
        "token": keys.get(token) or None,
        "expires_at": datetime.fromisoformat(ends) if ends else None,
    }


def _failure(problem: Exception, *, had_keys: bool) -> OSError:
    """A PermissionError where there never were keys and the address refuses, else a ConnectionError: it may pass."""
    if not had_keys and isinstance(problem, PermissionError):
        return problem
    if not had_keys and isinstance(problem, HTTPError) and problem.code in (401, 403, 404):
        return PermissionError(f"the address of the credentials refuses ({problem.code})")
    return ConnectionError(f"{UNAVAILABLE} ({problem})")
