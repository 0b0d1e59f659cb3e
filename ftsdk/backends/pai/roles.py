"""What the job's role reaches. PAI's default role, which a job without the option `role` has, reaches the bucket of the
workspace's default storage only, as PAI's documents say; docs/backends/checked-against.md says how sure that is."""

from __future__ import annotations

from ftsdk.backends.pai.addresses import bucket_of
from ftsdk.backends.pai.request import durable_of
from ftsdk.backends.pai.service import AlibabaServices
from ftsdk.backends.pai.shapes import CreateJob
from ftsdk.errors import AuthError, BackendError
from ftsdk.facts.platforms import KnownPlatform


def check(services: AlibabaServices, request: CreateJob) -> None:
    """Raise AuthError if the job would have PAI's default role, and its results lie in another bucket.

    A workspace that cannot be queried is no reason to refuse: the job's first write shows it.
    """
    if not has_default_role(request):
        return
    bucket = bucket_of(durable_of(request))
    try:
        default = services.default_bucket()
    except BackendError:
        return
    if default != bucket:
        raise AuthError(unreachable(bucket, default))


def warnings(known: KnownPlatform, request: CreateJob) -> tuple[str, ...]:
    """A warning, from what `ftsdk doctor` has kept, that `check` will refuse."""
    bucket = bucket_of(durable_of(request))
    if not has_default_role(request) or known.get("default_bucket", bucket) == bucket:
        return ()
    return (unreachable(bucket, known["default_bucket"]),)


def has_default_role(request: CreateJob) -> bool:
    """Whether no role is named."""
    items = request["CredentialConfig"]["CredentialConfigItems"]
    return not any("RoleArn" in role for item in items for role in item["Roles"])


def unreachable(bucket: str, default: str | None) -> str:
    """The sentence on a bucket that the default role does not reach."""
    theirs = f"the workspace's default bucket '{default}'" if default else "no bucket, as the workspace has no default"
    return (
        f"bucket '{bucket}': PAI's default role reaches {theirs}, so the job could save nothing; name a role by "
        f"-o role=acs:ram::ACCOUNT:role/NAME (`ftsdk doctor -b pai` prints its policy), or use that bucket."
    )
