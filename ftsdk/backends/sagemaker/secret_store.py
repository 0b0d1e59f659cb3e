"""Secrets in the account: kept in Secrets Manager (or SSM Parameter Store), fetched by the job itself.

So their values never appear in a training job's description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftsdk.backends.sagemaker.service import RefusedError, Services, says_not_found
from ftsdk.errors import AuthError

if TYPE_CHECKING:
    from ftsdk.plan import Plan


def check(services: Services, plan: Plan) -> None:
    """Raise AuthError for secrets that are nowhere in the account."""
    prefix = str(plan.options["secrets_prefix"])
    missing = [name for name in plan.secrets if not _is_there(services, prefix + name)]
    if missing:
        names = " ".join(missing)
        raise AuthError(
            f"secrets: {', '.join(missing)} is not in Secrets Manager of {services.region}, and a value from here "
            f"would show in the job's description; store it with `ftsdk secrets put {names} --backend sagemaker`."
        )


def put(services: Services, prefix: str, name: str, value: str) -> str:
    """Store a secret, or a new value of it; returns its ARN."""
    try:
        made = services.call("secretsmanager", "create_secret", Name=prefix + name, SecretString=value)
    except RefusedError as problem:
        if problem.code != "ResourceExistsException":
            raise
        made = services.call("secretsmanager", "put_secret_value", SecretId=prefix + name, SecretString=value)
    return str(made["ARN"])


def _is_there(services: Services, address: str) -> bool:
    asked = (
        ("secretsmanager", "describe_secret", {"SecretId": address}),
        ("ssm", "get_parameter", {"Name": f"/{address}"}),
    )
    return any(_answers(services, *question) for question in asked)


def _answers(services: Services, service: str, operation: str, arguments: dict[str, str]) -> bool:
    try:
        services.call(service, operation, **arguments)
    except RefusedError as problem:
        if says_not_found(problem):
            return False
        raise
    return True
