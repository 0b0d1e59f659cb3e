"""Secrets that the job fetches itself: Secrets Manager first, then SSM Parameter Store, with the job's own role.

Signed by hand (AWS Signature Version 4, AWS General Reference), because an image that holds the trainer need not hold
an AWS library.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

TRIES = 6
PATIENCE_S = 20.0
CREDENTIALS_HOST = "http://169.254.170.2"
"""Where a container's role credentials are served (AWS SDKs reference, "Container credential provider")."""
NOT_FOUND = ("ResourceNotFoundException", "ParameterNotFound")


class SecretError(Exception):
    """A secret cannot be had; the message names it and says why."""


class Keys(NamedTuple):
    """Credentials."""

    access: str
    secret: str
    token: str = ""


def fetch(told: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Values of the secrets that `contract.ENV_SECRETS_FROM` names. Raises SecretError."""
    asked = json.loads(told)
    return {name: _value(asked["prefix"] + name, environ) for name in asked["aws"]}


def _value(address: str, environ: Mapping[str, str]) -> str:
    try:
        said = _call("secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": address}, environ)
        if said is None:
            asked = {"Name": f"/{address}", "WithDecryption": True}
            found = _call("ssm", "AmazonSSM.GetParameter", asked, environ)
            said = {"SecretString": found["Parameter"]["Value"]} if found else None
        if said is None or "SecretString" not in said:
            raise SecretError(f"secret {address} is neither in Secrets Manager nor in SSM Parameter Store")
    except (OSError, ValueError, KeyError) as problem:
        raise SecretError(f"secret {address} cannot be fetched ({problem})") from None
    return str(said["SecretString"])


def _call(service: str, operation: str, asked: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any] | None:
    """One operation's answer; None for what does not exist. Throttling and 5xx are tried again."""
    for left in reversed(range(TRIES)):
        request = _signed(service, operation, json.dumps(asked).encode(), environ, _keys(environ))
        try:
            with urlopen(request, timeout=PATIENCE_S) as answer:
                said: dict[str, Any] = json.load(answer)
                return said
        except HTTPError as problem:
            told = problem.read().decode("utf-8", "replace")
            if any(word in told for word in NOT_FOUND):
                return None
            if not left or (problem.code < 500 and "Throttl" not in told):
                raise OSError(f"{problem.code} {told[:200]}") from None
        except URLError:
            if not left:
                raise
        time.sleep(2.0 ** (TRIES - left) / 10)
    return None


def _keys(environ: Mapping[str, str]) -> Keys:
    if "AWS_ACCESS_KEY_ID" in environ:
        token = environ.get("AWS_SESSION_TOKEN", "")
        return Keys(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], token)
    path = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    url = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", CREDENTIALS_HOST + path)
    with urlopen(url, timeout=PATIENCE_S) as answer:
        said = json.load(answer)
    return Keys(said["AccessKeyId"], said["SecretAccessKey"], said.get("Token", ""))


def _signed(service: str, operation: str, body: bytes, environ: Mapping[str, str], keys: Keys) -> Request:
    region = environ.get("AWS_REGION", "us-east-1")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = environ.get("AWS_ENDPOINT_URL", f"https://{service}.{region}.{domain}").rstrip("/") + "/"
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urlsplit(url).netloc,
        "x-amz-date": now,
        **({"x-amz-security-token": keys.token} if keys.token else {}),
        "x-amz-target": operation,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    said = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return Request(url, body, {**headers, "Authorization": said}, method="POST")
