"""Fetches secrets inside the job: from Secrets Manager, then from SSM Parameter Store, with the job's own role.

Requests are signed here (AWS Signature Version 4, AWS General Reference), because an image for training may lack an
AWS library.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request

from ftsdk.contract.foreign import JsonObject
from ftsdk.runtime.platforms.secret_service import SecretError, SecretServiceError, post
from ftsdk.runtime.storage.aws_credentials import fetch_role
from ftsdk.runtime.storage.aws_regions import domain_of

NOT_FOUND = ("ResourceNotFoundException", "ParameterNotFound")


class AwsKeys(NamedTuple):
    """AWS credentials."""

    access: str
    secret: str
    token: str = ""


def fetch(source: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Values of the secrets that `contract.ENV_SECRETS_FROM` names. Raises SecretError."""
    names = json.loads(source)
    return {name: _value(names["prefix"] + name, environ) for name in names["aws"]}


def _value(address: str, environ: Mapping[str, str]) -> str:
    try:
        response = _call("secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": address}, environ)
        if response is not None and "SecretString" in response:
            return str(response["SecretString"])
        if response is None:
            parameters = {"Name": f"/{address}", "WithDecryption": True}
            response = _call("ssm", "AmazonSSM.GetParameter", parameters, environ)
            if response:
                return str(response["Parameter"]["Value"])
    except (OSError, ValueError, KeyError) as problem:
        raise SecretError(f"secret {address} cannot be fetched ({problem})") from None
    raise SecretError(f"secret {address} is neither in Secrets Manager nor in SSM Parameter Store")


def _call(
    service: str, operation: str, parameters: Mapping[str, object], environ: Mapping[str, str]
) -> JsonObject | None:
    """The response to one operation; None for a secret that does not exist."""
    body = json.dumps(parameters).encode()
    try:
        return post(lambda: _signed(service, operation, body, environ, _keys(environ)))
    except SecretServiceError as problem:
        if any(code in problem.body for code in NOT_FOUND):
            return None
        raise


def _keys(environ: Mapping[str, str]) -> AwsKeys:
    if "AWS_ACCESS_KEY_ID" in environ:
        token = environ.get("AWS_SESSION_TOKEN", "")
        return AwsKeys(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], token)
    role = fetch_role(environ)
    return AwsKeys(role["access_key_id"], role["secret_access_key"], role["token"] or "")


def _signed(service: str, operation: str, body: bytes, environ: Mapping[str, str], keys: AwsKeys) -> Request:
    region = environ.get("AWS_REGION", "us-east-1")
    url = environ.get("AWS_ENDPOINT_URL", f"https://{service}.{region}.{domain_of(region)}").rstrip("/") + "/"
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
    authorization = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return Request(url, body, {**headers, "Authorization": authorization}, method="POST")
