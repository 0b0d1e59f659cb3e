"""AWS regions: what hosts end with, and in which region a bucket lies."""

from __future__ import annotations

from functools import cache
from urllib.error import HTTPError
from urllib.request import Request, urlopen

REGION_HEADER = "x-amz-bucket-region"
TIMEOUT_S = 3.0
DOMAINS = (("cn-", "amazonaws.com.cn"), ("eusc-", "amazonaws.eu"))


def domain_of(region: str) -> str:
    """What the hosts of a region's services end with."""
    return next((domain for prefix, domain in DOMAINS if region.startswith(prefix)), "amazonaws.com")


def s3_endpoint(region: str) -> str:
    """Address of S3 in a region."""
    return f"https://s3.{region}.{domain_of(region)}"


@cache
def bucket_region(bucket: str, endpoint: str) -> str | None:
    """The region of a bucket; None if S3 does not answer. Needs no permission: refusals carry the header as well."""
    request = Request(f"{endpoint}/{bucket}", method="HEAD")
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:
            headers = response.headers
    except HTTPError as refusal:
        headers = refusal.headers
    except OSError:
        return None
    named: str | None = headers.get(REGION_HEADER)
    return named
