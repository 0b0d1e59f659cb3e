"""A model hub on loopback, as the hub's own client calls it: create, preupload, LFS batch, upload, verify, commit.

It keeps what was committed, refuses a commit whose large files were not uploaded before, and checks every SHA-256 and
the token, so that a client that leaves a step out fails.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopback"
LARGE = (".safetensors", ".bin", ".gguf")


class Hub:
    """The server; `repositories` maps a repository to its visibility and files, `uploads` counts uploads of content."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.fail_commits = 0
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid user token."}, 401)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            self._preupload(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path.startswith("/verify/"):
            self._json({}, 200 if path.rpartition("/")[2] in self.hub.objects else 404)
        elif path.endswith("/commit/main"):
            self._commit("/".join(path.split("/")[3:5]), body)
        else:
            self._json({"error": f"no POST {path}"}, 404)

    def do_PUT(self) -> None:
        oid, body = self.path.rpartition("/")[2], self._body()
        if hashlib.sha256(body).hexdigest() != oid:
            self._json({"error": "wrong content"}, 400)
            return
        self.hub.objects[oid] = body
        self.hub.uploads.append(oid)
        self._answer(b"", 200, "text/plain")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        name = "/".join(parts[2:4]) if parts[0] == "api" else "/".join(parts[:2])
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._json({"error": "Repository not found"}, 404)
        elif parts[4:5] == ["tree"]:
            files = repository["files"].items()
            self._json([{"type": "file", "path": path, "size": len(data), "oid": "0" * 40} for path, data in files])
        elif parts[0] == "api":
            siblings = [{"rfilename": file} for file in sorted(repository["files"])]
            self._json({"id": name, "sha": "0" * 40, "siblings": siblings, "private": repository["private"]})
        else:
            data = repository["files"]["/".join(parts[4:])]
            etag = hashlib.sha256(data).hexdigest()
            self._answer(data, 200, "application/octet-stream", ETag=f'"{etag}"', **{"X-Repo-Commit": "0" * 40})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == "forbidden":
            self._json({"error": "You don't have the rights to create a model under this namespace"}, 403)
            return
        known = name in self.hub.repositories
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repositories.setdefault(name, {"private": private, "files": {".gitattributes": b""}})
        self._json({"url": f"{self.hub.url}/{name}", "name": name}, 409 if known else 200)

    def _preupload(self, asked: dict[str, Any]) -> None:
        modes = [
            {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular", "shouldIgnore": False}
            for f in asked["files"]
        ]
        self._json({"files": modes})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for wanted in asked["objects"]:
            oid, url = wanted["oid"], self.hub.url
            if oid in self.hub.objects:  # as git LFS defines it: no action, nothing to send
                objects.append(wanted)
                continue
            upload, verify = ({"href": f"{url}/{verb}/{oid}", "header": {}} for verb in ("upload", "verify"))
            objects.append({**wanted, "actions": {"upload": upload, "verify": verify}})
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, body: bytes) -> None:
        if self.hub.fail_commits:
            self.hub.fail_commits -= 1
            self._json({"error": "The commit was refused"}, 400)
            return
        files = self.hub.repositories[name]["files"]
        header, *lines = (json.loads(line) for line in body.splitlines())
        assert header["key"] == "header"
        for line in lines:
            value = line["value"]
            content = base64.b64decode(value["content"]) if line["key"] == "file" else self.hub.objects[value["oid"]]
            files[value["path"]] = content
        url = f"{self.hub.url}/{name}/commit/{'0' * 40}"
        self._json({"success": True, "commitOid": "0" * 40, "commitUrl": url})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _json(self, data: object, status: int = 200) -> None:
        self._answer(json.dumps(data).encode(), status, "application/json")

    def _answer(self, body: bytes, status: int, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
