"""Minimal IAM policies for the role of the jobs and for the submitting user. Pure data."""

from __future__ import annotations

from typing import Final, NamedTuple, TypedDict

from ftsdk.backends.sagemaker.addresses import partition_of, split
from ftsdk.backends.sagemaker.log_streams import GROUP

OBJECTS: Final = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
PULL: Final = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH: Final = (
    "ecr:CreateRepository",
    "ecr:DescribeImages",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
)
KEY: Final = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey")
"""With `kms_key`: objects of the bucket and the disk; the job's role also grants the key to the volume's service."""
INTERFACES: Final = ("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs",
    "ec2:DescribeDhcpOptions", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups")  # fmt: skip
"""With `subnets` (SageMaker developer guide, "SageMaker roles", CreateTrainingJob in a VPC)."""
SHELL: Final = ("ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel")  # fmt: skip
"""With `remote_debug` (SageMaker developer guide, "Access a training container through AWS Systems Manager")."""
LOGIN: Final = ("lambda:InvokeFunction",)
"""With `registry_login`."""
TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
"""Lets SageMaker assume the role."""


class Statement(TypedDict):
    """A statement of an IAM policy."""

    Effect: str
    Action: list[str]
    Resource: list[str]


class Policy(TypedDict):
    """An IAM policy."""

    Version: str
    Statement: list[Statement]


class Account(NamedTuple):
    """What the policies are about."""

    region: str
    account: str
    root: str
    """`s3://bucket/prefix`."""
    role: str
    secrets_prefix: str
    kms_key: str | None = None
    subnets: tuple[str, ...] = ()
    remote_debug: bool = False
    registry_login: str | None = None

    def arn(self, service: str, resource: str) -> str:
        """A resource of this account and region."""
        return f"arn:{partition_of(self.region).name}:{service}:{self.region}:{self.account}:{resource}"


def job_policy(account: Account) -> Policy:
    """For the option `role`: its inputs and results in S3, its log, its image, its secrets."""
    group = account.arn("logs", f"log-group:{GROUP}")
    return _policy(
        *_storage(account),
        _allow(("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
               group, f"{group}:*"),
        _allow(("cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"), "*"),
        _allow(PULL, account.arn("ecr", "repository/*")),
        *_secrets(account, ("secretsmanager:GetSecretValue",)),
        *_kms(account, (*KEY, "kms:CreateGrant")),
        *([_allow(INTERFACES, "*")] if account.subnets else []),
        *([_allow(SHELL, "*")] if account.remote_debug else []),
        *([_allow(LOGIN, account.registry_login)] if account.registry_login else []),
    )  # fmt: skip


def caller_policy(account: Account) -> Policy:
    """For the user who runs ftsdk."""
    group = account.arn("logs", f"log-group:{GROUP}")
    jobs = ("sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob",
            "sagemaker:AddTags")  # fmt: skip
    asking = ("sagemaker:ListTrainingJobs", "servicequotas:ListServiceQuotas", "ecr:GetAuthorizationToken")
    stored = ("secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:DescribeSecret")
    passing = _allow(("iam:PassRole", "iam:GetRole", "iam:SimulatePrincipalPolicy"), account.role)
    return _policy(
        _allow(jobs, account.arn("sagemaker", "training-job/*")),
        _allow(asking, "*"),
        passing,
        *_storage(account),
        _allow(("logs:DescribeLogStreams", "logs:GetLogEvents"), group, f"{group}:*"),
        *_secrets(account, stored),
        _allow((*PULL, *PUSH), account.arn("ecr", "repository/ftsdk")),
        *_kms(account, KEY),
    )


def actions_of(policy: Policy) -> dict[str, list[str]]:
    """Resource -> actions, for the policy simulator."""
    by_resource: dict[str, list[str]] = {}
    for statement in policy["Statement"]:
        by_resource.setdefault(statement["Resource"][0], []).extend(statement["Action"])
    return by_resource


def _storage(account: Account) -> tuple[Statement, Statement]:
    bucket, prefix = split(account.root)
    arn = f"arn:{partition_of(account.region).name}:s3:::{bucket}"
    return _allow(OBJECTS, f"{arn}/{prefix}/*" if prefix else f"{arn}/*"), _allow(("s3:ListBucket",), arn)


def _secrets(account: Account, actions: tuple[str, ...]) -> tuple[Statement, Statement]:
    prefix = account.secrets_prefix
    return (
        _allow(actions, account.arn("secretsmanager", f"secret:{prefix}*")),
        _allow(("ssm:GetParameter",), account.arn("ssm", f"parameter/{prefix}*")),
    )


def _kms(account: Account, actions: tuple[str, ...]) -> list[Statement]:
    """The key by its ARN; an id or alias is one of this account and region."""
    key = account.kms_key
    if not key:
        return []
    id_or_all = "key/*" if key.startswith("alias/") else f"key/{key.removeprefix('key/')}"
    return [_allow(actions, key if key.startswith("arn:") else account.arn("kms", id_or_all))]


def _allow(actions: tuple[str, ...], *resources: str) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _policy(*statements: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}
