"""Names and addresses in Alibaba Cloud: regions, endpoints, a job's folders in OSS. Pure.

Endpoints: https://www.alibabacloud.com/help/en/pai/developer-reference/api-pai-dlc-2020-12-03-endpoint,
https://www.alibabacloud.com/help/en/oss/user-guide/regions-and-endpoints.
"""

from __future__ import annotations

import re
from typing import Final

from ftsdk.backends.pai.options import PaiOptions
from ftsdk.contract.documents import Storage
from ftsdk.errors import SpecError

REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z0-9]+)+")
BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""OSS user guide, bucket naming conventions."""
CENTRAL: Final = ("ap-northeast-2", "ap-south-1", "ap-southeast-2", "cn-chengdu", "cn-huhehaote", "cn-qingdao",
                  "cn-wuhan", "cn-zhangjiakou", "eu-west-1", "me-east-1")  # fmt: skip
"""Regions without an address of their own in the client's table (alibabacloud-pai-dlc20201203 1.11.6)."""


def checked_region(region: str | None) -> str:
    """The region, or a SpecError with every way to give it."""
    if not region or not REGION.fullmatch(region):
        detail = f"'{region}' is no region" if region else "is missing"
        raise SpecError(
            f"The pai backend's option 'region' {detail}: give it by -o region=cn-hangzhou, FTSDK_PAI_REGION, "
            f"ALIBABA_CLOUD_REGION_ID, or [pai] in ftsdk.toml."
        )
    return region


def needed(value: str | None, key: str, what: str) -> str:
    """An option's value, or a SpecError with every way to give it."""
    if not value:
        raise SpecError(
            f"The pai backend needs the option '{key}', {what}: give it by -o {key}=VALUE, FTSDK_PAI_{key.upper()}, "
            f"or [pai] in ftsdk.toml."
        )
    return value


def dlc_endpoint(options: PaiOptions) -> str:
    """Host of the DLC API as this machine reaches it; with a scheme only if the option has one."""
    if options.endpoint:
        return options.endpoint
    region = checked_region(options.region)
    if options.network == "vpc":
        return f"pai-dlc-vpc.{region}.aliyuncs.com"
    return "pai-dlc.aliyuncs.com" if region in CENTRAL else f"pai-dlc.{region}.aliyuncs.com"


def kms_endpoint(options: PaiOptions, *, inside: bool) -> str:
    """URL of KMS, for the job (`inside`) or for this machine."""
    if options.kms_endpoint:
        return options.kms_endpoint
    vpc = "-vpc" if inside or options.network == "vpc" else ""
    return f"https://kms{vpc}.{checked_region(options.region)}.aliyuncs.com"


def workspace_endpoint(options: PaiOptions) -> str:
    """Host of the API of PAI's workspaces."""
    vpc = "-vpc" if options.network == "vpc" else ""
    return options.workspace_endpoint or f"aiworkspace{vpc}.{checked_region(options.region)}.aliyuncs.com"


def eas_endpoint(options: PaiOptions) -> str:
    """Host of the API of EAS."""
    vpc = "-vpc" if options.network == "vpc" else ""
    return options.eas_endpoint or f"pai-eas{vpc}.{checked_region(options.region)}.aliyuncs.com"


def bucket_of(address: str) -> str:
    """The bucket's name of `oss://bucket/path` or of `oss://bucket.oss-REGION-internal.aliyuncs.com/path`."""
    return address.removeprefix("oss://").partition("/")[0].partition(".")[0]


def acr_endpoint(options: PaiOptions, region: str) -> str:
    """Address of ACR's API in the region of a registry."""
    return options.acr_endpoint or f"cr{'-vpc' if options.network == 'vpc' else ''}.{region}.aliyuncs.com"


def storage(options: PaiOptions) -> Storage:
    """How this machine reaches the bucket."""
    region = checked_region(options.region)
    internal = "-internal" if options.network == "vpc" else ""
    result = Storage(region=region, endpoint=options.oss_endpoint or f"https://s3.oss-{region}{internal}.aliyuncs.com")
    if options.oss_cname:
        result["addressing"] = "cname"
    return result


def job_storage(options: PaiOptions) -> Storage:
    """How the job reaches the bucket: from inside the region, free of traffic costs."""
    region = checked_region(options.region)
    return Storage(region=region, endpoint=options.oss_job_endpoint or f"https://s3.oss-{region}-internal.aliyuncs.com")


def mount_uri(address: str, region: str) -> str:
    """`oss://bucket/path` as a data source names it: with the endpoint in the host, a folder."""
    bucket, _, path = address.removeprefix("oss://").partition("/")
    host = bucket if "." in bucket else f"{bucket}.oss-{region}-internal.aliyuncs.com"
    return f"oss://{host}/{path.rstrip('/')}/".replace("//", "/").replace("oss:/", "oss://", 1)


def root(options: PaiOptions) -> str:
    """Where everything of this backend lies: `oss://BUCKET/PREFIX`."""
    bucket = needed(options.bucket, "bucket", "an OSS bucket's name")
    if not BUCKET.fullmatch(bucket):
        raise SpecError(f"The pai backend's option 'bucket' {bucket!r} is no bucket's name: give it without oss://.")
    return f"oss://{bucket}/{options.prefix.strip('/')}".rstrip("/")


def console(region: str, workspace_id: str, native_id: str) -> str:
    """The job's page in the console."""
    domain = "pai.console.aliyun.com"
    return f"https://{domain}/?regionId={region}&workspaceId={workspace_id}#/dlc/jobs/{native_id}/overview"
