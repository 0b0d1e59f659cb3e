"""ModelScope's hub over HTTP on loopback: folders of this machine as its models and data sets.

Paths and fields are those of modelscope 1.30 (`modelscope/hub/api.py`). The third answer of each kind is a trouble: a
503, a file that ends early; a private repository needs its token as the cookie `m_session_id`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "ms-tell-nobody"


class ModelScope:
    """The server. `models` and `datasets`: `ORG/NAME` -> folder; those of the organisation `private` need the token."""

    def __init__(self) -> None:
        self.models: dict[str, Path] = {}
        self.datasets: dict[str, Path] = {}
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str, cookie: str) -> tuple[int, bytes]:
        """Status and body."""
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        kind, *path = unquote(parts.path).removeprefix("/api/v1/").split("/")
        shelf = self.models if kind == "models" else self.datasets
        if path[0].isdecimal():  # data sets have numbers
            return _page(list(shelf.values())[int(path[0])], query)
        name = "/".join(path[:2])
        if name not in shelf:
            return 404, b"{}"
        if name.startswith("private/") and f"m_session_id={TOKEN}" not in cookie:
            return 403, b"{}"
        match path[2:]:
            case []:
                return 200, _data({"Id": list(shelf).index(name), "Type": 3})
            case ["repo", "files"]:
                return 200, _data({"Files": _rows(shelf[name])})
            case ["repo"]:
                return 200, (shelf[name] / query["FilePath"]).read_bytes()
        return 404, b"{}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: object) -> None:
                pass

            def do_GET(self) -> None:
                hub.requests.append(self.path)
                status, body = hub.answer(self.path, self.headers.get("cookie") or "")
                trouble = len(hub.requests) % 3 == 0 and status == 200
                if trouble and "FilePath" not in self.path:
                    status, body = 503, b"{}"
                wanted = self.headers.get("range")
                if wanted and status == 200:
                    hub.ranges.append(wanted)
                    status, body = 206, body[int(wanted.removeprefix("bytes=").rstrip("-")) :]
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                ends_early = trouble and "FilePath" in self.path
                self.wfile.write(body[: len(body) // 2] if ends_early else body)
                self.close_connection = True

        return Handler


def _rows(folder: Path) -> list[dict[str, object]]:
    files = sorted(folder.rglob("*"))
    return [
        {"Path": file.relative_to(folder).as_posix(), "Type": "tree"}
        if file.is_dir()
        else {"Path": file.relative_to(folder).as_posix(), "Type": "blob", "Size": file.stat().st_size,
              "Sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in files
    ]  # fmt: skip


def _page(folder: Path, query: dict[str, str]) -> tuple[int, bytes]:
    rows, size = _rows(folder), int(query["PageSize"])
    first = (int(query["PageNumber"]) - 1) * size
    return 200, _data({"Files": rows[first : first + size]})


def _data(data: object) -> bytes:
    return json.dumps({"Code": 200, "Data": data}).encode()
