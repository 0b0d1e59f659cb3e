"""Sending a notice: signed JSON to an https address, or through Apprise to chats, mail and desktops."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ftsdk.contract.release import __version__
from ftsdk.errors import FtsdkError, NotInstalledError
from ftsdk.runtime.retry import RetryPolicy

TIMEOUT_S: Final = 10.0
RETRIES: Final = RetryPolicy(
    attempts=4,
    first_pause_s=0.5,
    is_final=lambda problem: isinstance(problem, HTTPError) and problem.code < 500 and problem.code != 429,
)


class _NoRedirects(HTTPRedirectHandler):
    """A notice goes where the configuration says and nowhere else."""

    def redirect_request(self, *arguments: object) -> None:
        return None


def masked(address: str) -> str:
    """An address without what may be secret in it: scheme and host of a web address, else the scheme alone."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}/…" if parts.scheme in ("http", "https") else f"{parts.scheme}://…"


def send(address: str, notice: dict[str, object], *, text: str, secret: str | None) -> None:
    """Send a notice; tries again for a few seconds. Raises FtsdkError, in which the address is masked.

    Args:
        address: an http(s) address gets the notice as JSON; any other scheme is Apprise's and gets `text`.
        notice: has at least `id`, which stays the same when a notice is sent again.
        text: one sentence, the first word of which is the event.
        secret: the key of the signature, as in https://www.standardwebhooks.com; without one nothing is signed.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        _send_by_apprise(address, text)
        return
    request = Request(address, json.dumps(notice).encode(), _headers(notice, secret))
    try:
        RETRIES.call(lambda: build_opener(_NoRedirects).open(request, timeout=TIMEOUT_S).close())
    except HTTPError as problem:
        raise FtsdkError(f"{masked(address)} answered {problem.code} to a notice: see its settings.") from None
    except (OSError, ValueError) as problem:
        why = type(getattr(problem, "reason", problem)).__name__
        raise FtsdkError(f"{masked(address)} cannot be reached to send a notice ({why}).") from None


def _headers(notice: dict[str, object], secret: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": f"ftsdk/{__version__}"}
    headers |= {"webhook-id": str(notice["id"]), "webhook-timestamp": str(int(time.time()))}
    if secret:
        headers["webhook-signature"] = signature(secret, headers, json.dumps(notice).encode())
    return headers


def signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY` (Standard Webhooks 1.0).

    A secret `whsec_…` is the base64 of the key, any other one is the key.
    """
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def _send_by_apprise(address: str, text: str) -> None:
    try:
        import apprise
    except ImportError:
        raise NotInstalledError(
            f"A notice to {masked(address)} needs Apprise, which is not installed: pip install 'ftsdk[notify]'."
        ) from None
    sender = apprise.Apprise()
    if not sender.add(address):
        raise FtsdkError(f"{masked(address)} is no address that Apprise knows: see its documentation.")
    if not RETRIES.call(lambda: bool(sender.notify(body=text, title="ftsdk"))):
        raise FtsdkError(f"{masked(address)} did not take a notice: see its settings.")
