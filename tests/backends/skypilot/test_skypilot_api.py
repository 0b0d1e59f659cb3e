"""How SkyPilot's API server is found and called, against a server on loopback with recorded responses."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ftsdk.backends.skypilot.api import ApiServer
from ftsdk.errors import AuthError, BackendError, CapacityError, NotInstalledError, UnavailableError

NO_RESOURCES = {"type": "ResourcesUnavailableError", "message": "Failed to acquire resources", "object": "…"}


class Answers(BaseHTTPRequestHandler):
    heard: list[tuple[str, dict[str, str], bytes]] = []  # noqa: RUF012

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.path, dict(self.headers), body))
        self._answer(200, None)

    def do_GET(self):
        self.heard.append((self.path, dict(self.headers), b""))
        if "forbidden" in self.path:
            self._answer(401, {"detail": "who are you?"})
        elif "failed" in self.path:
            self._answer(500, {"detail": {"error": json.dumps(NO_RESOURCES)}})
        elif self.path.startswith("/api/status"):
            self._answer(200, [{"status": "RUNNING"}])
        else:
            self._answer(200, {"return_value": json.dumps([1, 2])})

    def _answer(self, code, data):
        self.send_response(code)
        self.send_header("X-Skypilot-Request-ID", "abc")
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(monkeypatch, tmp_path):
    """A server, configured as SkyPilot's users do it."""
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", address + "/")
    monkeypatch.setenv("HOME", str(tmp_path))
    Answers.heard.clear()
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_request_and_its_answer(endpoint):
    assert ApiServer(None).ask("/queue", {"cluster_name": "x"}) == [1, 2]
    (posted, headers, body), (got, _, _) = Answers.heard
    assert (posted, json.loads(body), got) == ("/queue", {"cluster_name": "x"}, "/api/get?request_id=abc")
    assert {name.lower(): value for name, value in headers.items()}["x-skypilot-api-version"] == "62"
    assert ApiServer(None).status("abc") == "RUNNING"


def test_errors_of_the_server_become_ftsdk_errors(endpoint):
    with pytest.raises(CapacityError, match="Failed to acquire resources"):
        ApiServer(None).result("failed")
    with pytest.raises(AuthError, match="who are you"):
        ApiServer(None).result("forbidden")


def test_the_hubs_token_is_sent(endpoint, monkeypatch):
    monkeypatch.setenv("SKYPILOT_SERVICE_ACCOUNT_TOKEN", "sky_123")
    ApiServer(None).status("abc")
    assert Answers.heard[0][1]["Authorization"] == "Bearer sky_123"


def test_the_endpoint_of_skypilots_configuration(endpoint, monkeypatch, tmp_path):
    monkeypatch.delenv("SKYPILOT_API_SERVER_ENDPOINT")
    (tmp_path / ".sky").mkdir()
    (tmp_path / ".sky" / "config.yaml").write_text(f"api_server: {{endpoint: '{endpoint}'}}\n")
    assert ApiServer(None).status("abc") == "RUNNING"


def test_a_login_by_cookie(endpoint, tmp_path):
    (tmp_path / ".sky").mkdir()
    line = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\t_oauth2_proxy\tbaked"
    (tmp_path / ".sky" / "cookies.txt").write_text(f"# Netscape HTTP Cookie File\n{line}\n")
    ApiServer(None).status("abc")
    assert Answers.heard[0][1]["Cookie"] == "_oauth2_proxy=baked"


def test_a_remote_server_that_is_down_raises_unavailable_error(monkeypatch):
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "http://127.0.0.2:9")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        ApiServer(None).status("abc")


def test_an_interpreter_without_skypilot(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # no site-packages
    bare.chmod(0o755)
    with pytest.raises(NotInstalledError, match="sky_python"):
        ApiServer("/no/such/python").run({"verb": "start"})
    with pytest.raises(NotInstalledError, match="pip install"):
        ApiServer(str(bare)).run({"verb": "start"})


def test_a_program_that_breaks_off(tmp_path):
    broken = tmp_path / "python"
    broken.write_text(f"#!{sys.executable}\nraise SystemExit('no memory left')\n")
    broken.chmod(0o755)
    with pytest.raises(BackendError, match="broke off: no memory left"):
        ApiServer(str(broken)).run({"verb": "start"})
