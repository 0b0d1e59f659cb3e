"""Secrets in the account: stored in Secrets Manager (or SSM Parameter Store), fetched by the job itself.

Their values therefore never appear in a training job's description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftsdk.backends.sagemaker.service import AwsRefusedError, AwsServices, says_not_found
from ftsdk.errors import AuthError

if TYPE_CHECKING:
    from ftsdk.plan import Plan


def check(services: AwsServices, plan: Plan) -> None:
    """Raise AuthError for secrets that are nowhere in the account."""
    prefix = str(plan.options["secrets_prefix"])
    missing = [name for name in plan.secrets if not _is_there(services, prefix + name)]
    if missing:
        names = " ".join(missing)
        raise AuthError(
            f"secrets: {', '.join(missing)} is not in Secrets Manager of {services.region}, and a value from here "
            f"would show in the job's description; store it with `ftsdk secrets put {names} --backend sagemaker`."
        )


def put(services: AwsServices, prefix: str, name: str, value: str) -> str:
    """Store a secret, or a new value of it; returns its ARN."""
    try:
        made = services.call("secretsmanager", "create_secret", Name=prefix + name, SecretString=value)
    except AwsRefusedError as problem:
        if problem.code != "ResourceExistsException":
            raise
        made = services.call("secretsmanager", "put_secret_value", SecretId=prefix + name, SecretString=value)
    return str(made["ARN"])


def _is_there(services: AwsServices, address: str) -> bool:
    lookups = (
        ("secretsmanager", "describe_secret", {"SecretId": address}),
        ("ssm", "get_parameter", {"Name": f"/{address}"}),
    )
    return any(_exists(services, *question) for question in lookups)


def _exists(services: AwsServices, service: str, operation: str, arguments: dict[str, str]) -> bool:
    try:
        services.call(service, operation, **arguments)
    except AwsRefusedError as problem:
        if says_not_found(problem):
            return False
        raise
    return True
