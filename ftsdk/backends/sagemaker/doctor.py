"""Check the account for what the sagemaker backend needs; the checks run in parallel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from ftsdk.backends.base import Check
from ftsdk.backends.sagemaker import addresses, ecr, policies
from ftsdk.backends.sagemaker.policies import Account
from ftsdk.backends.sagemaker.service import AwsRefusedError, AwsServices, quota_hint, says_not_found
from ftsdk.errors import BackendError, FtsdkError

if TYPE_CHECKING:
    from ftsdk.backends.sagemaker.options import SageMakerOptions

ROLE_HINT: Final = "make a role that SageMaker may take, with the trust policy {trust} and the policy {policy}"
USAGES: Final = ("training job usage", "spot training job usage")
WARM_POOL: Final = "training warm pool usage"
"""Quotas of SageMaker, behind `TYPE for` (Service Quotas console)."""
ASKED_AT_ONCE: Final = 50
"""Actions in one SimulatePrincipalPolicy call (IAM API reference: at most 128)."""


def checks(options: SageMakerOptions, services: AwsServices) -> Iterator[Check]:
    """Credentials first: without them nothing else can be checked."""
    try:
        region = services.region
        response = services.call("sts", "get_caller_identity")
    except FtsdkError as problem:
        yield Check(what="credentials", ok=False, detail="not usable", remedy=str(problem))
        return
    yield Check(what="credentials", ok=True, detail=f"{response['Arn']} in {region}")
    if options.role is None:
        yield _no_role(options, region, response["Account"])
        return
    try:
        account = account_of(options, region)
    except FtsdkError as problem:
        yield Check(what="options", ok=False, detail="do not fit", remedy=str(problem))
        return
    queries: list[Callable[[], Check | list[Check]]] = [
        lambda: _trust(services, account),
        lambda: _allowed(services, account),
        lambda: _bucket(services, account),
        lambda: _image(services, options, account),
        lambda: _quotas(services, options),
    ]
    with ThreadPoolExecutor(len(queries)) as pool:
        for result in pool.map(lambda query: query(), queries):
            yield from result if isinstance(result, list) else [result]


def account_of(options: SageMakerOptions, region: str) -> Account:
    """What the policies are about. Raises SpecError for options that do not fit."""
    role = str(options.role)
    account = addresses.account_of(role, region)
    root = addresses.root(options.bucket, options.prefix, account=account, region=region)
    return _account(options, region, account, root, role)


def _account(options: SageMakerOptions, region: str, account: str, root: str, role: str) -> Account:
    extras = (options.kms_key, options.subnets, options.remote_debug, options.registry_login)
    return Account(region, account, root, role, options.secrets_prefix, *extras)


def _no_role(options: SageMakerOptions, region: str, account: str) -> Check:
    root = addresses.root(options.bucket, options.prefix, account=account, region=region)
    role = f"arn:{addresses.partition_of(region).name}:iam::{account}:role/ftsdk"
    policy = policies.job_policy(_account(options, region, account, root, role))
    hint = ROLE_HINT.format(trust=json.dumps(policies.TRUST), policy=json.dumps(policy))
    return Check(what="role", ok=False, detail="the option role is missing", remedy=f"{hint}; then -o role={role}")


def _trust(services: AwsServices, account: Account) -> Check:
    name = account.role.rpartition("/")[2]
    try:
        role = services.call("iam", "get_role", RoleName=name)["Role"]
    except AwsRefusedError as problem:
        if not says_not_found(problem) and "NoSuchEntity" not in problem.code:
            return _unknown("role", problem)
        policy = json.dumps(policies.job_policy(account))
        hint = ROLE_HINT.format(trust=json.dumps(policies.TRUST), policy=policy)
        return Check(what="role", ok=False, detail=f"there is no {account.role}", remedy=hint)
    except BackendError as problem:
        return _unknown("role", problem)
    trust = role["AssumeRolePolicyDocument"]
    if "sagemaker." in (trust if isinstance(trust, str) else json.dumps(trust)):
        return Check(what="role", ok=True, detail=f"{account.role}, which SageMaker may take")
    remedy = f"set its trust policy to {json.dumps(policies.TRUST)}"
    return Check(what="role", ok=False, detail=f"SageMaker may not take {account.role}", remedy=remedy)


def _allowed(services: AwsServices, account: Account) -> Check:
    """Query IAM's policy simulator; without permission for it the result is unknown."""
    policy = policies.job_policy(account)
    denied = []
    try:
        for resource, actions in policies.actions_of(policy).items():
            response = services.call(
                "iam",
                "simulate_principal_policy",
                PolicySourceArn=account.role,
                ActionNames=actions[:ASKED_AT_ONCE],
                ResourceArns=[resource],
            )
            denied += [
                row["EvalActionName"] for row in response["EvaluationResults"] if row["EvalDecision"] != "allowed"
            ]
    except BackendError as problem:
        return _unknown("permissions", problem)
    if not denied:
        return Check(what="permissions", ok=True, detail="the role may do what a job does")
    remedy = f"give the role this policy: {json.dumps(policy)}"
    return Check(what="permissions", ok=False, detail=f"the role may not {', '.join(denied)}", remedy=remedy)


def _bucket(services: AwsServices, account: Account) -> Check:
    bucket, _ = addresses.split(account.root)
    try:
        region = services.call("s3", "head_bucket", Bucket=bucket).get("BucketRegion", account.region)
    except AwsRefusedError:
        remedy = f"make it: aws s3 mb s3://{bucket} --region {account.region}, or name another with -o bucket=…"
        return Check(what="bucket", ok=False, detail=f"there is no bucket {bucket}", remedy=remedy)
    except BackendError as problem:
        return Check(what="bucket", ok=False, detail=f"{bucket} cannot be reached", remedy=str(problem))
    if region != account.region:
        detail = f"{bucket} is in {region}, and a job reads and writes buckets of its own region"
        remedy = f"use -o region={region}, or a bucket in {account.region} with -o bucket=…"
        return Check(what="bucket", ok=False, detail=detail, remedy=remedy)
    return Check(what="bucket", ok=True, detail=account.root)


def _image(services: AwsServices, options: SageMakerOptions, account: Account) -> Check:
    kind = options.instance_type[0] if options.instance_type else "ml.g5.xlarge"
    image = options.image or addresses.default_image(
        kind, account=account.account, region=account.region, cuda=options.torch
    )
    if ".dkr.ecr." not in image.partition("/")[0]:
        return Check(what="image", ok=True, detail=f"{image} (not in ECR: SageMaker pulls from ECR only, or a VPC)")
    try:
        return ecr.check_image(services, image)
    except AwsRefusedError as problem:
        if not says_not_found(problem):
            return _unknown("image", problem)
        remedy = "ftsdk image build, then ftsdk image push --backend sagemaker; or name another with -o image=…"
        return Check(what="image", ok=False, detail=f"there is no {image}", remedy=remedy)
    except (BackendError, OSError, ValueError, KeyError) as problem:
        return _unknown("image", problem)


def _quotas(services: AwsServices, options: SageMakerOptions) -> list[Check]:
    """A check for each type: on demand, on spot, and in a warm pool if one is asked for."""
    try:
        pages = services.pages("service-quotas", "list_service_quotas", ServiceCode="sagemaker")
        values: dict[str, float] = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    except BackendError as problem:
        return [_unknown("quota", problem)]
    usages = (*USAGES, WARM_POOL) if options.keep_alive_minutes else USAGES
    return [_quota(name, {usage: values.get(f"{name} for {usage}") for usage in usages}, services.region)
            for name in options.instance_type]  # fmt: skip


def _quota(instance_type: str, values: dict[str, float | None], region: str) -> Check:
    """A request is refused if any of its types lacks the quota of its usage; either spot or on demand will do here."""
    known = {usage: value for usage, value in values.items() if value is not None}
    if not known:
        return Check(what="quota", ok=True, detail=f"'{instance_type}' is in no list; a submit will tell")
    needed = [*([USAGES[0]] if not any(known.get(usage) for usage in USAGES) else []), WARM_POOL]
    missing = next((usage for usage in needed if known.get(usage) == 0), "")
    detail = ", ".join(f"{value:g} x {instance_type} for {usage}" for usage, value in known.items())
    remedy = quota_hint(f"service limit '{instance_type} for {missing}'", region) if missing else ""
    return Check(what="quota", ok=not missing, detail=detail, remedy=remedy)


def _unknown(what: str, problem: Exception) -> Check:
    """A check that could not be made; it does not count as a failure."""
    return Check(what=what, ok=True, detail=f"could not be queried ({problem})")
