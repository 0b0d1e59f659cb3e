"""An S3 bucket on loopback that throws bytes away as fast as they come: what it costs to send is the client's own.

`bucket.py [MB_PER_S]` prints its port and serves until stdin ends; with a figure, no connection is quicker than that.
moto would be the slowest part of every measurement. It takes what uploads use: PutObject, the three requests of a
multipart upload, HeadObject, GetObject for small ones and ListObjectsV2; it keeps sizes and times.
"""

from __future__ import annotations

import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUFFER_BYTES = 1 << 20
MB_PER_S = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
sizes: dict[str, int] = {}
"""Path -> bytes of the objects that there are."""
made: dict[str, float] = {}
"""Path -> when its bytes had come."""
small: dict[str, bytes] = {}
"""Path -> what is in it, for what is smaller than the buffer."""
parts: dict[str, dict[int, int]] = {}
"""Upload -> part number -> bytes."""


class Bucket(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_PUT(self) -> None:
        path, query = self._asked()
        size, data = self._drop()
        if "partNumber" in query:
            parts[query["uploadId"]][int(query["partNumber"])] = size
        else:
            sizes[path], made[path] = size, time.time()
            if size < BUFFER_BYTES:
                small[path] = data
        self._answer(200, {"ETag": f'"{size:032x}"'})

    def do_POST(self) -> None:
        path, query = self._asked()
        self._drop()
        if "uploadId" in query:
            sizes[path], made[path] = sum(parts.pop(query["uploadId"]).values()), time.time()
            body = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
        else:
            upload = f"upload-{len(sizes)}-{len(parts)}"
            parts[upload] = {}
            body = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        self._answer(200, {"Content-Type": "application/xml"}, body.encode())

    def do_HEAD(self) -> None:
        path, _ = self._asked()
        if path in sizes:
            modified = formatdate(made[path], usegmt=True)
            self._answer(200, {"Content-Length": str(sizes[path]), "Last-Modified": modified, "ETag": '"e"'})
        else:
            self._answer(404)

    def do_GET(self) -> None:
        path, query = self._asked()
        if path in small:
            self._answer(200, {"Last-Modified": formatdate(made[path], usegmt=True), "ETag": '"e"'}, small[path])
        elif "list-type" in query:
            self._answer(200, {"Content-Type": "application/xml"}, _listing(f"{path.rstrip('/')}/", query).encode())
        else:
            self._answer(404, body=b"<Error><Code>NoSuchKey</Code></Error>")

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _asked(self) -> tuple[str, dict[str, str]]:
        said = urlsplit(self.path)
        return unquote(said.path), {key: values[0] for key, values in parse_qs(said.query).items()}

    def _drop(self) -> tuple[int, bytes]:
        """Read the body; returns how many bytes of the object it holds, and, of a small one, these."""
        left = int(self.headers.get("Content-Length", 0))
        size = int(self.headers.get("x-amz-decoded-content-length", left))
        view = memoryview(bytearray(BUFFER_BYTES))
        free_at = time.monotonic()
        while left:
            got = self.rfile.readinto(view[: min(left, BUFFER_BYTES)]) or left
            left -= got
            free_at += got / 1e6 / MB_PER_S
            time.sleep(max(0.0, free_at - time.monotonic()))
        return size, bytes(view[:size]) if size < BUFFER_BYTES else b""

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _listing(bucket: str, query: dict[str, str]) -> str:
    rows = (
        f"<Contents><Key>{escape(path.removeprefix(bucket))}</Key><Size>{size}</Size>"
        f"<LastModified>{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(made[path]))}</LastModified></Contents>"
        for path, size in sorted(sizes.items())
        if path.startswith(bucket + query.get("prefix", ""))
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(rows)}</ListBucketResult>"


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
