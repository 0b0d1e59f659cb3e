"""Create an object in Alibaba OSS unless it exists, by OSS's own API: its S3 protocol has no condition that holds.

Signature: https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4. Header:
https://www.alibabacloud.com/help/en/oss/developer-reference/putobject; a bucket with versioning ignores it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import reduce
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener, getproxies

from ftsdk.runtime.storage.credentials import Credential

ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
TIMEOUT_S = 30.0


class ServiceError(OSError):
    """The service answered with an error; `status` is 0 if it did not answer."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}".strip())
        self.status, self.code = status, code


class OssBucket(NamedTuple):
    """A bucket by OSS's own API."""

    name: str
    region: str
    url: str
    """Address of the bucket's objects, without a slash at its end."""
    prefix: str
    credentials: Callable[[], Credential]

    def create(self, key: str, data: bytes) -> None:
        """Write an object. Raises FileExistsError if it exists, ServiceError for every other refusal."""
        path = quote(f"/{self.prefix}/{key}" if self.prefix else f"/{key}", safe="/~")
        headers = {
            "content-type": "application/octet-stream",
            "x-oss-content-sha256": UNSIGNED,
            "x-oss-date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
            "x-oss-forbid-overwrite": "true",
        }
        try:
            keys = self.credentials()
        except OSError as problem:
            raise ServiceError(0, str(problem)) from None
        if keys["token"]:
            headers["x-oss-security-token"] = keys["token"]
        headers["authorization"] = authorization(keys, self.region, f"/{quote(self.name)}{path}", headers)
        try:
            request = Request(self.url + path, data, headers, method="PUT")
            with build_opener(ProxyHandler(_proxies())).open(request, timeout=TIMEOUT_S):
                pass
        except HTTPError as refusal:
            code = next(iter(re.findall(r"<Code>(\w+)</Code>", refusal.read().decode("utf-8", "replace"))), "")
            if code == "FileAlreadyExists":
                raise FileExistsError(key) from None
            raise ServiceError(refusal.code, code) from None
        except (HTTPException, OSError) as problem:
            reason = problem.reason if isinstance(problem, URLError) else problem
            raise ServiceError(0, str(reason)[:200]) from None


def authorization(keys: Credential, region: str, path: str, headers: Mapping[str, str]) -> str:
    """The Authorization header of a PUT without a query; all of `headers` are signed, their names in small letters."""
    time = headers["x-oss-date"]
    listed = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    canonical = "\n".join(("PUT", path, "", listed, "", UNSIGNED))
    scope = (time[:8], region, "oss", "aliyun_v4_request")
    text = "\n".join((ALGORITHM, time, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()))
    secret = reduce(_digest, scope, f"aliyun_v4{keys['secret_access_key']}".encode())
    signature = _digest(secret, text).hex()
    return f"{ALGORITHM} Credential={keys['access_key_id']}/{'/'.join(scope)},Signature={signature}"


def own_endpoint(endpoint: str) -> str:
    """Address of OSS's own API beside that of its S3 protocol (`s3.oss-REGION…`); other hosts serve both."""
    return re.sub(r"(//|[.])s3[.](oss-)", r"\1\2", endpoint)


def _proxies() -> dict[str, str]:
    """Those that are set now; `all_proxy` counts as for obstore, although urllib ignores it."""
    proxies = getproxies()
    return {**dict.fromkeys(("http", "https"), proxies["all"]), **proxies} if "all" in proxies else proxies


def _digest(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
