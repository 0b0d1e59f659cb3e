"""Client of SkyPilot's API server over HTTP, because importing SkyPilot takes longer than a request.

What only SkyPilot's package can do (send a task in, with the files that it names) is done by `sdk.py` in an
interpreter that has it. Endpoint and login are found where SkyPilot's own client finds them.
https://docs.skypilot.co/en/latest/reference/api-server/api-server.html
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftsdk.backends.skypilot import failures
from ftsdk.backends.skypilot.shapes import SdkRequest, SdkResponse
from ftsdk.errors import BackendError, NotInstalledError, UnavailableError

if TYPE_CHECKING:
    from email.message import Message
    from urllib.request import Request

DEFAULT_PORT: Final = "46580"
VERSIONS: Final = {"X-SkyPilot-API-Version": "62", "X-SkyPilot-Version": "0.14.1"}
"""API versions that the client announces; newer and slightly older servers accept them."""
REQUEST_ID: Final = "X-Skypilot-Request-ID"
TIMEOUT_S: Final = 120.0
LAUNCH_TIMEOUT_S: Final = 1800.0
"""Seconds for a launch, which may upload many gigabytes to a remote server."""


class ApiServer:
    """One API server, and the interpreter that has SkyPilot."""

    def __init__(self, python: str | None) -> None:
        self._python = python or sys.executable
        self._endpoint = ""
        self._headers: dict[str, str] = {}

    # --- over HTTP -----------------------------------------------------------------------------------------
    def ask(self, path: str, body: Mapping[str, object]) -> Any:
        """Post a request and wait for its answer. Raises what `failures.error` makes of SkyPilot's error."""
        return self.result(self.post(path, body))

    def post(self, path: str, body: Mapping[str, object]) -> str:
        """Post a request without waiting for its result; returns its id."""
        _, headers = self._open(path, json.dumps(body).encode())
        return headers[REQUEST_ID] or ""

    def text(self, path: str, body: Mapping[str, object]) -> str:
        """Post a request whose response is text, such as a log."""
        data, _ = self._open(path, json.dumps(body).encode())
        return data.decode("utf-8", "replace")

    def result(self, request_id: str) -> Any:
        """Wait for a request and return its result."""
        data, _ = self._open(f"/api/get?request_id={request_id}")
        return json.loads(json.loads(data)["return_value"])

    def status(self, request_id: str) -> str | None:
        """Where a request is: PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED …; None if the server no longer has it."""
        data, _ = self._open(f"/api/status?request_ids={request_id}")
        return next((str(row["status"]) for row in json.loads(data)), None)

    def _open(self, path: str, data: bytes | None = None) -> tuple[bytes, Message]:
        try:
            return self._exchange(path, data)
        except ConnectionRefusedError as problem:
            if not self._is_local:
                raise _unreachable(self._endpoint, problem) from problem
            self.run({"verb": "start"})
        try:
            return self._exchange(path, data)
        except ConnectionRefusedError as problem:
            raise _unreachable(self._endpoint, problem) from problem

    def _exchange(self, path: str, data: bytes | None) -> tuple[bytes, Message]:
        from urllib.error import HTTPError, URLError
        from urllib.request import urlopen

        try:
            with urlopen(self._request(path, data), timeout=TIMEOUT_S) as reply:
                return reply.read(), reply.headers
        except HTTPError as problem:
            raise _refusal(problem.code, problem.read()) from None
        except (URLError, HTTPException, OSError) as problem:
            cause = getattr(problem, "reason", problem)
            if isinstance(cause, ConnectionRefusedError):
                raise cause from None
            raise _unreachable(self._endpoint, cause) from problem

    def _request(self, path: str, data: bytes | None) -> Request:
        from http.cookiejar import MozillaCookieJar
        from urllib.request import Request

        if not self._endpoint:
            self._endpoint, token = _find()
            self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers = {"Content-Type": "application/json", **VERSIONS, **self._headers}
        request = Request(self._endpoint + path, data=data, headers=headers)
        cookies = Path(os.environ.get("SKYPILOT_API_COOKIE_FILE", "~/.sky/cookies.txt")).expanduser()
        if cookies.is_file() and not self._headers:
            jar = MozillaCookieJar(cookies)
            jar.load()
            jar.add_cookie_header(request)
        return request

    @property
    def _is_local(self) -> bool:
        return self._endpoint.startswith(("http://127.0.0.1:", "http://localhost:"))

    # --- through SkyPilot's package ------------------------------------------------------------------------
    def run(self, request: SdkRequest) -> SdkResponse:
        """Run a verb of `sdk.py`. Raises NotInstalledError without SkyPilot, or what `failures.error` returns."""
        argv = [self._python, str(Path(__file__).with_name("sdk.py"))]
        response = _run(argv, json.dumps(request))
        if "error" in response:
            raise failures.error(response["error"]["type"], response["error"]["message"])
        return response


def _run(argv: Sequence[str], request: str) -> SdkResponse:
    """Secrets are passed by stdin, because all users can read command lines."""
    try:
        run = subprocess.run(
            argv, input=request, capture_output=True, text=True, timeout=LAUNCH_TIMEOUT_S, check=False,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
        response: SdkResponse = json.loads(run.stdout)
    except OSError as problem:
        raise NotInstalledError(
            f"{argv[0]} cannot be started ({problem.strerror}): set the skypilot backend's option 'sky_python'."
        ) from problem
    except subprocess.TimeoutExpired as problem:
        raise UnavailableError(f"SkyPilot did not take the task within {LAUNCH_TIMEOUT_S:g} s.") from problem
    except ValueError:
        raise BackendError(f"SkyPilot broke off: {failures.words(run.stderr[-800:])}.") from None
    return response


def _find() -> tuple[str, str | None]:
    """(endpoint, service account's token), from the environment or SkyPilot's configuration."""
    configured = _configured()
    port = os.environ.get("SKYPILOT_API_SERVER_LOCAL_PORT", DEFAULT_PORT)
    given = os.environ.get("SKYPILOT_API_SERVER_ENDPOINT") or configured.get("endpoint")
    token = os.environ.get("SKYPILOT_SERVICE_ACCOUNT_TOKEN") or configured.get("service_account_token")
    return (given or f"http://127.0.0.1:{port}").rstrip("/"), token


def _configured() -> dict[str, str]:
    import yaml

    path = Path(os.environ.get("SKYPILOT_GLOBAL_CONFIG", "~/.sky/config.yaml")).expanduser()
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    server = data.get("api_server") if isinstance(data, dict) else None
    return server if isinstance(server, dict) else {}


def _refusal(code: int, body: bytes) -> BackendError:
    """The ftsdk error for a failed request or for the server's refusal."""
    try:
        detail = json.loads(body).get("detail")
        problem = json.loads(detail["error"])
        return failures.error(str(problem["type"]), str(problem["message"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        kind = {401: "PermissionDeniedError", 403: "PermissionDeniedError"}.get(code, "ApiServerConnectionError")
        return failures.error(kind, f"HTTP {code}: {body[:300].decode('utf-8', 'replace')}")


def _unreachable(endpoint: str, problem: object) -> UnavailableError:
    return UnavailableError(
        f"SkyPilot's API server at {endpoint} cannot be reached ({problem}): "
        f"see `sky api info`, and `sky api start` for one on this machine."
    )
