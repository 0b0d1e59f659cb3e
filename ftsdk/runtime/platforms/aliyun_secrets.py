"""Fetches secrets inside the job from Alibaba Cloud's KMS, with the role that the platform gives it.

Requests are signed here (ACS3-HMAC-SHA256, https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature),
because an image for training may lack an Alibaba Cloud library.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from urllib.parse import quote, urlsplit
from urllib.request import Request

from ftsdk.runtime.platforms.secret_service import SecretError, post
from ftsdk.runtime.storage.aliyun_credentials import AliyunCredentials

VERSION = "2016-01-20"


def fetch(source: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Values of the secrets that `contract.ENV_SECRETS_FROM` names. Raises SecretError."""
    names = json.loads(source)
    return {name: _value(names["endpoint"], names["prefix"] + name, environ) for name in names["kms"]}


def _value(endpoint: str, address: str, environ: Mapping[str, str]) -> str:
    try:
        response = post(lambda: _signed(endpoint, "GetSecretValue", {"SecretName": address}, environ))
        return str(response["SecretData"])
    except (OSError, ValueError, KeyError) as problem:
        raise SecretError(f"secret {address} cannot be fetched from KMS ({problem})") from None


def _signed(endpoint: str, action: str, parameters: dict[str, str], environ: Mapping[str, str]) -> Request:
    keys = AliyunCredentials(environ)()
    query = "&".join(f"{quote(name, safe='~')}={quote(parameters[name], safe='~')}" for name in sorted(parameters))
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
    authorization = f"ACS3-HMAC-SHA256 Credential={keys['access_key_id']},SignedHeaders={names},Signature={signature}"
    return Request(f"{endpoint.rstrip('/')}/?{query}", b"", {**headers, "Authorization": authorization}, method="POST")
