"""The addresses that give a role's keys to a container or an instance: keys that expire, and answers that fail.

AWS: "Container credential provider" and "IMDS credential provider" of the SDKs and Tools reference; Alibaba Cloud: the
document that PAI's ALIBABA_CLOUD_CREDENTIALS_URI serves has the same fields under other names.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.emulators.buckets import Buckets, Environ

ROLE = "job"
SECRET, TOKEN = "SKROLE", "TOKENROLE"


class RoleAddress:
    """A server. `trouble` is the share of answers that are a 500; `lifetime_s` is how long new keys are valid."""

    def __init__(self) -> None:
        self.trouble = 0.0
        self.lifetime_s = 3600.0
        self.answers = 0
        self.failures = 0
        self.ends: dict[str, float] = {}
        """Key -> when it expires, in seconds since the epoch."""
        self._chance = random.Random(11)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def is_valid(self, key: str, ahead_s: float) -> bool:
        """Whether a key was given out and has not expired by a clock that is so much ahead."""
        return self.ends.get(key, 0.0) > time.time() + ahead_s

    def answer(self, path: str, method: str) -> tuple[int, str]:
        """(status, body)."""
        self.answers += 1
        if self._chance.random() < self.trouble:
            self.failures += 1
            return 500, "credentials are on holiday"
        if method == "PUT":
            return 200, "token"
        if path.endswith("security-credentials/"):
            return 200, ROLE
        key = f"AK{len(self.ends)}"
        self.ends[key] = time.time() + self.lifetime_s
        ends = datetime.fromtimestamp(self.ends[key], UTC).isoformat().replace("+00:00", "Z")
        aws = {"AccessKeyId": key, "SecretAccessKey": SECRET, "Token": TOKEN, "Type": "AWS-HMAC", "Code": "Success"}
        document = {**aws, "Expiration": ends, "LastUpdated": ends}
        return 200, json.dumps({**document, "AccessKeySecret": SECRET, "SecurityToken": TOKEN})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        role = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = role.answer(self.path, self.command)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_PUT = do_GET  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


class RoleBuckets(Buckets):
    """S3 that takes the keys of a role while they are valid, as the service does."""

    def __init__(self, role: RoleAddress) -> None:
        super().__init__()
        self.role = role
        self.ahead_s = 0.0
        """How far the clock of the service is ahead of the one that gives out the keys."""
        self.expired = 0

    def refusal(self, environ: Environ, headers: dict[str, str]) -> tuple[int, str] | None:
        key = re.search(r"Credential=(\w+)/", headers.get("authorization", ""))
        if key and self.role.is_valid(key[1], self.ahead_s):
            return None
        self.expired += 1
        return 400 if key else 403, "ExpiredToken" if key else "AccessDenied"
