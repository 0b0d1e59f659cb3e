"""Secrets that the job fetches itself from Alibaba Cloud's KMS, with the role that the platform gives it.

Signed by hand (ACS3-HMAC-SHA256, https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature),
because an image that holds the trainer need not hold an Alibaba Cloud library.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from ftsdk.runtime.platforms.aws_secrets import SecretError
from ftsdk.runtime.storage.aliyun_credentials import AliyunCredentials

VERSION = "2016-01-20"
TRIES = 6
PATIENCE_S = 20.0


def fetch(told: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Values of the secrets that `contract.ENV_SECRETS_FROM` names. Raises SecretError."""
    asked = json.loads(told)
    return {name: _value(asked["endpoint"], asked["prefix"] + name, environ) for name in asked["kms"]}


def _value(endpoint: str, address: str, environ: Mapping[str, str]) -> str:
    try:
        return str(_call(endpoint, "GetSecretValue", {"SecretName": address}, environ)["SecretData"])
    except (OSError, ValueError, KeyError) as problem:
        raise SecretError(f"secret {address} cannot be fetched from KMS ({problem})") from None


def _call(endpoint: str, action: str, asked: dict[str, str], environ: Mapping[str, str]) -> dict[str, Any]:
    """One operation's answer. Throttling, 5xx and cut connections are tried again."""
    for left in reversed(range(TRIES)):
        try:
            with urlopen(_signed(endpoint, action, asked, AliyunCredentials(environ)()), timeout=PATIENCE_S) as answer:
                said: dict[str, Any] = json.load(answer)
                return said
        except HTTPError as problem:
            told = problem.read().decode("utf-8", "replace")
            if not left or (problem.code < 500 and "Throttl" not in told):
                raise OSError(f"{problem.code} {told[:200]}") from None
        except (URLError, ConnectionError, TimeoutError):
            if not left:
                raise
        time.sleep(2.0 ** (TRIES - left) / 10)
    raise AssertionError("the last try raises")


def _signed(endpoint: str, action: str, asked: dict[str, str], keys: Mapping[str, Any]) -> Request:
    query = "&".join(f"{quote(name, safe='~')}={quote(asked[name], safe='~')}" for name in sorted(asked))
    digest = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": urlsplit(endpoint).netloc,
        "x-acs-action": action,
        "x-acs-content-sha256": digest,
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **({"x-acs-security-token": keys["token"]} if keys["token"] else {}),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-version": VERSION,
    }
    headers = dict(sorted(headers.items()))
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n{query}\n{lines}\n{names}\n{digest}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(str(keys["secret_access_key"]).encode(), text.encode(), "sha256").hex()
    said = f"ACS3-HMAC-SHA256 Credential={keys['access_key_id']},SignedHeaders={names},Signature={signature}"
    return Request(f"{endpoint.rstrip('/')}/?{query}", b"", {**headers, "Authorization": said}, method="POST")
