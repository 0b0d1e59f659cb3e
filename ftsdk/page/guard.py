"""Who may use the page: requests to its own address that carry the token, and changes that come from its own forms.

- The `Host` header has to be the address that is served, so a name that resolves to 127.0.0.1 reads nothing (DNS
  rebinding).
- The token is in the address that `ftsdk ui` prints, and from then on in a cookie that scripts cannot read and that
  other sites' requests do not carry (`HttpOnly`, `SameSite=Strict`).
- A request that changes something has to name this page as its `Origin` and carry the form token (CSRF).
- The content security policy allows scripts and styles of this page only, so text that others wrote cannot run.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FORM_TOKEN: Final = "X-Form-Token"


class Guard:
    """ASGI middleware around the page."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"ftsdk-{port}"
        self.form_token = hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = self._refusal(scope)
        scope["form_token"] = self.form_token
        await (response or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse("This page answers at its own address only.", 421)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["method"] == "GET" and self._is_token(query.pop("token", [""])[0]):
            return self._signed_in(Request(scope).url.path, query)
        if not self._is_token(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            return PlainTextResponse("Open the address that `ftsdk ui` has printed: it holds the token.", 403)
        if scope["method"] not in ("GET", "HEAD") and not self._is_own_form(headers, host):
            return PlainTextResponse("This request does not come from the page itself.", 403)
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    def _signed_in(self, path: str, query: dict[str, list[str]]) -> Response:
        """The same address without the token, which then is in a cookie instead of the history."""
        rest = urlencode(query, doseq=True)
        response = RedirectResponse(f"/{path.lstrip('/')}{'?' if rest else ''}{rest}", 303)
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
        return response

    def _is_own_form(self, headers: Headers, host: str) -> bool:
        given = headers.get(FORM_TOKEN, "")
        return headers.get("origin") == f"http://{host}" and hmac.compare_digest(
            given.encode(), self.form_token.encode()
        )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
