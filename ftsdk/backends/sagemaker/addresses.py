"""Names and addresses in AWS: partitions, the account of a role, a job's folders in S3. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ftsdk.backends.image import Torch, default_tag
from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.contract.documents import Storage
from ftsdk.errors import SpecError
from ftsdk.sizing.catalogue import instance_of

ROLE: Final = re.compile(r"arn:(aws[a-z-]*):iam::(\d{12}):role/.+")
BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Amazon S3 user guide, bucket naming rules."""
REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
PARTITIONS: Final = (
    ("cn-", "aws-cn", "amazonaws.com.cn", "amazonaws.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com", "amazonaws-us-gov.com"),
    ("eusc-", "aws-eusc", "amazonaws.eu", "amazonaws-eusc.eu"),
)


class Partition(NamedTuple):
    """A separate AWS: its name in ARNs, and what its services' hosts and its console's end with."""

    name: str
    suffix: str
    console: str


def partition_of(region: str) -> Partition:
    """The partition that a region belongs to."""
    for prefix, *names in PARTITIONS:
        if region.startswith(prefix):
            return Partition(*names)
    return Partition("aws", "amazonaws.com", "aws.amazon.com")


def account_of(role: str, region: str) -> str:
    """The account in a role's ARN. Raises SpecError for what is no role, or one of another partition."""
    match = ROLE.fullmatch(role)
    if not match:
        raise SpecError(
            f"The sagemaker backend's option 'role' is {role!r}: give the ARN of an IAM role, "
            f"e.g. arn:aws:iam::123456789012:role/ftsdk."
        )
    partition = partition_of(region).name
    if match[1] != partition:
        raise SpecError(
            f"The sagemaker backend's options do not fit: region {region} belongs to partition {partition}, "
            f"role {role} to {match[1]}; use a role of {partition}."
        )
    return match[2]


def checked_region(region: str | None) -> str:
    """The region, or a SpecError with every way to give it."""
    if not region or not REGION.fullmatch(region):
        detail = f"'{region}' is no region" if region else "is missing"
        raise SpecError(
            f"The sagemaker backend's option 'region' {detail}: give it by -o region=us-west-2, "
            f"FTSDK_SAGEMAKER_REGION, AWS_REGION, or [sagemaker] in ftsdk.toml."
        )
    return region


def storage(options: SageMakerOptions) -> Storage:
    """How S3 is reached."""
    result = Storage(region=checked_region(options.region))
    if options.endpoint_url:
        result["endpoint"] = options.endpoint_url
    return result


def root(bucket: str | None, prefix: str, *, account: str, region: str) -> str:
    """Where everything of this account and region lies: `s3://BUCKET/PREFIX`."""
    name = bucket or f"sagemaker-{region}-{account}"  # the bucket that SageMaker's own SDK and Studio make
    if not BUCKET.fullmatch(name):
        raise SpecError(f"The sagemaker backend's option 'bucket' {name!r} is no bucket's name: give it without s3://.")
    return f"s3://{name}/{prefix.strip('/')}".rstrip("/")


def default_image(instance_type: str, *, account: str, region: str, cuda: Torch = "cuda") -> str:
    """Where `ftsdk image push --backend sagemaker` puts ftsdk's own image, for CUDA where there is a GPU."""
    torch: Torch = cuda if instance_of(instance_type) else "cpu"
    return f"{registry(account, region)}/{default_tag(torch)}"


def registry(account: str, region: str) -> str:
    """The account's ECR."""
    return f"{account}.dkr.ecr.{region}.{partition_of(region).suffix}"


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// address."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
