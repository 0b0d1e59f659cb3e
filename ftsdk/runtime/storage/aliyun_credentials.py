"""Alibaba Cloud's credentials as its own tools find them, renewed before they expire.

The environment, then the address that a platform injects (PAI's instance role), then what Alibaba Cloud's own library
finds where it is installed (profiles of every kind); without it, a profile of `aliyun configure` that has keys, or the
role of the ECS instance (https://www.alibabacloud.com/help/en/sdk/developer-reference/v2-manage-python-access-credentials).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk.runtime.storage.credentials import Credential, RenewedCredentials, credential_of, read_address

if TYPE_CHECKING:
    from alibabacloud_credentials.client import Client

ENVIRONMENT = (
    ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
)
CREDENTIALS_URI = "ALIBABA_CLOUD_CREDENTIALS_URI"
INSTANCE_ROLES = "http://100.100.100.200/latest/meta-data/ram/security-credentials/"
RENEWED_AFTER = timedelta(minutes=20)
"""Alibaba Cloud's library renews what expires, and does not say when that is."""
NONE = "no Alibaba Cloud credentials: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET"


class AliyunCredentials(RenewedCredentials):
    """Called by obstore whenever it needs credentials."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(self._find)
        self._environ = environ
        self._client: Client | None = None

    def _find(self) -> Credential:
        """Raises OSError if there are none."""
        for key, secret, token in ENVIRONMENT:
            if key in self._environ and secret in self._environ:
                return _credential(self._environ[key], self._environ[secret], self._environ.get(token))
        if address := self._environ.get(CREDENTIALS_URI):
            return _temporary(read_address(address))
        if find_spec("alibabacloud_credentials"):
            return self._from_library()
        if profile := _profile():
            return profile
        try:
            role = read_address(INSTANCE_ROLES).decode().split()[0]
        except (OSError, IndexError) as problem:
            if getattr(problem, "code", 0) >= 500:
                raise
            raise PermissionError(NONE) from None
        return _temporary(read_address(INSTANCE_ROLES + role))

    def _from_library(self) -> Credential:
        from alibabacloud_credentials.exceptions import CredentialException

        self._client = self._client or library_client()
        try:
            keys = self._client.get_credential()
        except CredentialException:
            raise PermissionError(NONE) from None
        credential = _credential(keys.access_key_id, keys.access_key_secret, keys.security_token or None)
        return {**credential, "expires_at": datetime.now(UTC) + RENEWED_AFTER}


def library_client() -> Client:
    """Alibaba Cloud's own client for credentials. Its log repeats error messages, which may hold secrets: silenced."""
    import logging

    from alibabacloud_credentials.client import Client

    logging.getLogger("credentials").setLevel(logging.CRITICAL)
    return Client()


def _temporary(data: bytes) -> Credential:
    return credential_of(data, secret="AccessKeySecret", token="SecurityToken")


def _profile() -> Credential | None:
    """Keys of the command line tool's current profile."""
    try:
        config = json.loads((Path.home() / ".aliyun" / "config.json").read_bytes())
        profile = next(row for row in config["profiles"] if row["name"] == config["current"])
        if profile["mode"] not in ("AK", "StsToken"):
            return None
        return _credential(profile["access_key_id"], profile["access_key_secret"], profile.get("sts_token") or None)
    except (OSError, ValueError, KeyError, StopIteration):
        return None


def _credential(key: str, secret: str, token: str | None) -> Credential:
    return {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}
