"""Object stores over real HTTP: moto's S3, and the dialects of Alibaba OSS and Google Cloud Storage in front of it.

The dialects refuse what the real services refuse; their differences from S3 are taken from the services' documents
(https://www.alibabacloud.com/help/en/oss/developer-reference/use-amazon-s3-sdks-to-access-oss, .../putobject,
https://cloud.google.com/storage/docs/xml-api/reference-headers).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
KEY, SECRET, TOKEN = "AKTEST", "SKTEST", "STSTEST"
DEFAULT_ROLE_TOKEN = "STSDEFAULT"
"""Token of PAI's default role, which reaches one bucket only."""
BUCKET = "bucket"
Environ = dict[str, Any]


class Buckets:
    """A server. `requests` are (method, path with query, headers) of all that came; `answers` go out first."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.answers: list[tuple[int, str]] = []
        """(status, code) of errors that the next requests get, whatever they ask."""
        self.region = ""
        """Where its bucket lies: requests that are signed for another region get a 301, as S3's do."""
        self.lost_answers = 0
        """So many of the next requests are done, and then answered with an error all the same."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def make_bucket(self, name: str = BUCKET) -> None:
        environ = {"REQUEST_METHOD": "PUT", "PATH_INFO": f"/{name}", "HTTP_HOST": "127.0.0.1", "SERVER_PORT": "80"}
        empty = {"wsgi.url_scheme": "http", "wsgi.input": None, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1"}
        list(self._moto({**environ, **empty, **_moto_signature()}, lambda status, headers, exc=None: None))

    def count(self, method: str, pattern: str = "") -> int:
        """How many requests of a method had this in their path."""
        return sum(said == method and bool(re.search(pattern, path)) for said, path, _ in self.requests)

    def _answer(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        headers = _headers(environ)
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"] + query, headers))
        if self.region and self.region not in headers.get("authorization", "").split("/"):
            _drain(environ)
            start("301 Moved Permanently", [("content-type", "application/xml"), ("x-amz-bucket-region", self.region)])
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"<Error><Code>PermanentRedirect</Code></Error>"]
        if refusal := self.answers.pop(0) if self.answers else self.refusal(environ, headers):
            _drain(environ)
            return refuse(start, *refusal)
        if self.lost_answers:
            self.lost_answers -= 1
            list(self._moto(environ, lambda status, headers, exc=None: None))
            return refuse(start, 500, "InternalError")
        return self._done(environ, start)

    def _done(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        return self._moto(environ, start)

    def refusal(self, environ: Environ, headers: dict[str, str]) -> tuple[int, str] | None:
        """The error of a request that this dialect does not take; it may change the request for moto, too."""
        return None


class OssBuckets(Buckets):
    """Alibaba OSS behind an HTTP proxy's address: its S3 protocol without conditions, and its own PutObject.

    The bucket's name must stand in the host.
    """

    host = "s3.oss-cn-hangzhou.aliyuncs.com"
    own_host = "oss-cn-hangzhou.aliyuncs.com"
    default_role_bucket = ""
    versioned: ClassVar[set[str]] = set()
    """Buckets with versioning, which ignore `x-oss-forbid-overwrite`."""

    def refusal(self, environ: Environ, headers: dict[str, str]) -> tuple[int, str] | None:
        bucket, _, domain = headers["host"].partition(".")
        if domain not in (self.host, self.own_host):
            return 403, "SecondLevelDomainForbidden"
        if headers.get("x-amz-content-sha256", "").startswith("STREAMING"):
            return 400, "InvalidArgument"
        is_own = domain == self.own_host
        token = headers.get("x-oss-security-token" if is_own else "x-amz-security-token")
        if token == DEFAULT_ROLE_TOKEN:
            if bucket != self.default_role_bucket:
                return 403, "AccessDenied"
        elif token != TOKEN:
            return 403, "InvalidAccessKeyId"
        path = f"/{bucket}{_raw_path(environ, headers)}"
        signed = (
            oss_signature(environ["REQUEST_METHOD"], path, environ["QUERY_STRING"], headers, SECRET)
            == headers.get("authorization", "").rpartition("Signature=")[2]
            if is_own
            else signed_by(environ, headers, SECRET)
        )
        if not signed:
            return 403, "SignatureDoesNotMatch"
        if environ["REQUEST_METHOD"] == "PUT" and ("if-none-match" in headers or "if-match" in headers):
            return 501, "NotImplemented"
        if environ["REQUEST_METHOD"] == "POST" and "delete" in environ["QUERY_STRING"] and "content-md5" not in headers:
            return 400, "MissingArgument"
        raw = f"/{bucket}{_raw_path(environ, headers)}?{environ['QUERY_STRING']}".rstrip("?")
        environ.update(HTTP_HOST="127.0.0.1", PATH_INFO=f"/{bucket}{environ['PATH_INFO']}", **_moto_signature())
        environ.update(REQUEST_URI=raw, RAW_URI=raw)
        if is_own and headers.get("x-oss-forbid-overwrite") == "true" and bucket not in self.versioned:
            environ["HTTP_IF_NONE_MATCH"] = "*"
        return None

    def _done(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """moto says 412 to a condition that does not hold, OSS 409 with a code of its own."""
        answers: list[tuple[Any, ...]] = []
        body = list(self._moto(environ, lambda *answer: answers.append(answer)))
        if answers[0][0].startswith("412"):
            return refuse(start, 409, "FileAlreadyExists")
        start(*answers[0])
        return body


def oss_signature(method: str, path: str, query: str, headers: Mapping[str, str], secret: str) -> str:
    """OSS's signature, version 4, of a request: every `x-oss-` header, the content's type and MD5, and those that the
    request names as additional. A test compares it with the examples in the tests of Alibaba Cloud's own client."""
    named = re.search(r"AdditionalHeaders=([^,]*)", headers.get("authorization", ""))
    more = named[1].split(";") if named else []
    always = [name for name in headers if name.startswith("x-oss-") or name in ("content-type", "content-md5")]
    lines = [f"{name}:{headers[name].strip()}" for name in sorted({*always, *more})]
    parts = sorted(part.removesuffix("=") for part in query.split("&"))
    asked = [method, path, "&".join(parts), *lines, "", ";".join(sorted(more)), headers["x-oss-content-sha256"]]
    date = headers["x-oss-date"]
    region = re.search(r"Credential=[^/]+/\d+/([^/]+)/", headers["authorization"])
    scope = [date[:8], region[1] if region else "", "oss", "aliyun_v4_request"]
    digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()
    key = f"aliyun_v4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, "\n".join(["OSS4-HMAC-SHA256", date, "/".join(scope), digest]).encode(), "sha256").hex()


class GcsBuckets(Buckets):
    """Google Cloud Storage's XML protocol: S3's, with a token instead of a signature and generations for conditions."""

    def refusal(self, environ: Environ, headers: dict[str, str]) -> tuple[int, str] | None:
        if headers.get("x-goog-if-generation-match") == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        environ.update(_moto_signature())
        return None


def signed_by(environ: Environ, headers: dict[str, str], secret: str) -> bool:
    """Whether the request's AWS signature (version 4) is that of a secret, computed again by botocore."""
    said = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d+)/([\w-]+)/s3/aws4_request, SignedHeaders=([\w;-]+), Signature=(\w+)",
        headers.get("authorization", ""),
    )
    if not said:
        return False
    key, _, region, names, signature = said.groups()
    auth = S3SigV4Auth(Credentials(key, secret), "s3", region)
    kept = {name: headers[name] for name in names.split(";") if name in headers}
    query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
    url = f"http://{headers['host']}{_raw_path(environ, headers)}{query}"
    request = AWSRequest(environ["REQUEST_METHOD"], url, kept)
    request.context["timestamp"] = headers["x-amz-date"]
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request) == signature


def _raw_path(environ: Environ, headers: dict[str, str]) -> str:
    """The path as it was sent; a proxy is sent the whole address."""
    before, _, behind = environ["RAW_URI"].partition("?")[0].partition(headers["host"])
    return behind or before


def _headers(environ: Environ) -> dict[str, str]:
    named = {name.removeprefix("HTTP_"): text for name, text in environ.items() if name[:5] == "HTTP_"}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            named[name] = environ[name]
    return {name.replace("_", "-").lower(): text for name, text in named.items()}


def refuse(start: Callable[..., Any], status: int, code: str) -> Iterable[bytes]:
    """An error as the services word it."""
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    start(f"{status} {HTTPStatus(status).phrase}", [("content-type", "application/xml")])
    return [body]


def _drain(environ: Environ) -> None:
    """Read what the client sends: an answer before that would look like a cut connection."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def _moto_signature() -> Environ:
    credential = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    return {"HTTP_AUTHORIZATION": credential}
