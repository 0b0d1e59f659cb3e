"""ftsdk's image in the account's ECR."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Final

from ftsdk.backends import image
from ftsdk.backends.sagemaker import addresses
from ftsdk.backends.sagemaker.service import AwsRefusedError, AwsServices
from ftsdk.errors import BackendError

OWNER: Final = "USER root"
"""/opt/ml belongs to root, and a job writes its model and its failure there."""


def push(services: AwsServices, tag: str, on_line: Callable[[str], None]) -> str:
    """Push a local image to this account's ECR, its repository made if it is missing; returns its address there.

    Raises NotInstalledError or UnavailableError without Docker, AuthError for what the account does not allow.
    """
    if (built_for := image.architecture(tag)) != image.CLOUD_PLATFORM:
        raise BackendError(
            f"Image {tag} is for {built_for}, and SageMaker's machines run {image.CLOUD_PLATFORM}: build it with "
            f"`ftsdk image build --platform {image.CLOUD_PLATFORM}`."
        )
    account = services.call("sts", "get_caller_identity")["Account"]
    repository, _, _ = tag.partition(":")
    try:
        services.call("ecr", "create_repository", repositoryName=repository)
    except AwsRefusedError as problem:
        if problem.code != "RepositoryAlreadyExistsException":
            raise
    given = services.call("ecr", "get_authorization_token")["authorizationData"]
    if not given:
        raise BackendError("ECR gave no login; try again.")
    user, _, password = b64decode(given[0]["authorizationToken"]).decode().partition(":")
    registry = addresses.registry(account, services.region)
    address = f"{registry}/{tag}"
    image.login(registry, user, password)
    image.derive(tag, address, OWNER)
    image.push(address, address, on_line=on_line)
    return address
