"""Secrets in the account: stored in KMS, fetched by the job itself with its own role.

Their values therefore never appear in a job's description.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ftsdk.backends.pai.service import AlibabaRefusedError, AlibabaServices, says_not_found
from ftsdk.errors import AuthError

if TYPE_CHECKING:
    from ftsdk.backends.pai.options import PaiOptions
    from ftsdk.plan import Plan


def check(services: AlibabaServices, plan: Plan) -> None:
    """Raise AuthError for secrets that are not in the account."""
    prefix = str(plan.options["secrets_prefix"])
    missing = [name for name in plan.secrets if not _is_there(services, prefix + name)]
    if missing:
        raise AuthError(
            f"secrets: {', '.join(missing)} is not in KMS of {services.region}, and a value from here would show in "
            f"the job's description; store it with `ftsdk secrets put {' '.join(missing)} --backend pai`."
        )


def put(services: AlibabaServices, options: PaiOptions, name: str, value: str) -> str:
    """Store a secret, or a new value of it; returns its name in KMS."""
    address = options.secrets_prefix + name
    version = hashlib.sha256(value.encode()).hexdigest()[:32]
    placed = {"DKMSInstanceId": options.kms_instance, "EncryptionKeyId": options.kms_key}
    try:
        services.kms("CreateSecret", SecretName=address, SecretData=value, VersionId=version,
                     **{key: text for key, text in placed.items() if text})  # fmt: skip
    except AlibabaRefusedError as problem:
        if "Exist" not in problem.code:
            raise
        _put_again(services, address, value, version)
    return address


def _put_again(services: AlibabaServices, address: str, value: str, version: str) -> None:
    try:
        services.kms("PutSecretValue", SecretName=address, SecretData=value, VersionId=version)
    except AlibabaRefusedError as problem:
        if "Exist" not in problem.code:  # the same value as before
            raise


def _is_there(services: AlibabaServices, address: str) -> bool:
    try:
        services.kms("DescribeSecret", SecretName=address)
    except AlibabaRefusedError as problem:
        if says_not_found(problem):
            return False
        raise
    return True
