"""AWS keys as a job finds them: the environment, the user's profiles, the role of the container, that of the instance.

Sources: AWS SDKs and Tools reference, "Container credential provider" and "IMDS credential provider".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from ftsdk.runtime.storage.credentials import Credential, RenewedCredentials, credential_of, read_address

CONTAINER_HOST = "http://169.254.170.2"
INSTANCE_HOST = "http://169.254.169.254"
INSTANCE_ROLES = "/latest/meta-data/iam/security-credentials/"
TOKEN_TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
NONE = "no credentials were found"


def provider(environ: Mapping[str, str]) -> Callable[[], Mapping[str, object]] | None:
    """What obstore asks for credentials; None leaves it to obstore (a web identity)."""
    if "AWS_ACCESS_KEY_ID" in environ and "AWS_SECRET_ACCESS_KEY" in environ:
        return lambda: {
            "access_key_id": environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
            "token": environ.get("AWS_SESSION_TOKEN"),
            "expires_at": None,
        }
    if profile := _profile(environ):
        return profile
    if "AWS_WEB_IDENTITY_TOKEN_FILE" in environ:
        return None
    return RenewedCredentials(lambda: fetch_role(environ))


def fetch_role(environ: Mapping[str, str]) -> Credential:
    """Keys of the role that the platform gives to the container, else to the instance.

    Raises PermissionError where there is neither, OSError, ValueError or KeyError if the address fails.
    """
    path, url = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if path or url:
        data = read_address(f"{CONTAINER_HOST}{path}" if path else str(url), _authorization(environ))
        return credential_of(data, secret="SecretAccessKey", token="Token")
    return _from_instance(environ)


def _authorization(environ: Mapping[str, str]) -> dict[str, str]:
    """The file is read each time: EKS replaces its content."""
    if file := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        return {"Authorization": Path(file).read_text("utf-8").strip()}
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    return {"Authorization": token} if token else {}


def _from_instance(environ: Mapping[str, str]) -> Credential:
    names = ("AWS_METADATA_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
    host = next((environ[name] for name in names if environ.get(name)), INSTANCE_HOST).rstrip("/")
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise PermissionError(NONE)
    try:
        token = read_address(f"{host}/latest/api/token", TOKEN_TTL, method="PUT").decode()
        headers = {"X-aws-ec2-metadata-token": token}
        role = read_address(host + INSTANCE_ROLES, headers).decode().split()[0]
    except (OSError, IndexError) as problem:
        if getattr(problem, "code", 0) >= 500:
            raise
        raise PermissionError(NONE) from None  # nothing serves the address: this is no instance with a role
    return credential_of(read_address(host + INSTANCE_ROLES + role, headers), secret="SecretAccessKey", token="Token")


def _profile(environ: Mapping[str, str]) -> Callable[[], Mapping[str, object]] | None:
    """The user's profiles, which boto3 reads (SSO and all that)."""
    has_profiles = "AWS_PROFILE" in environ or any(Path.home().glob(".aws/c[or]*"))
    if not (has_profiles and find_spec("boto3")):
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        provider_of_profile: Callable[[], Mapping[str, object]] = Boto3CredentialProvider()
    except ValueError:  # profiles without credentials
        return None
    return provider_of_profile
