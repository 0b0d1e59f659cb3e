"""What CreateJob accepts, checked before anything is sent; the client itself checks nothing.

Sources: comments of alibabacloud-pai-dlc20201203 1.11.6, and
https://www.alibabacloud.com/help/en/pai/developer-reference/api-pai-dlc-2020-12-03-createjob.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from ftsdk.backends.pai.shapes import CreateJob, DlcWorker, SpotSpec, UserVpc
from ftsdk.contract import ENV_SECRETS_FROM

MOST_BYTES: Final = 65_536
"""Of the whole request, with what the service adds."""
ADDED_BYTES: Final = 2_048
"""Room for what the service adds."""
SPOT_REGIONS: Final = ("cn-beijing", "cn-shanghai", "cn-hangzhou", "cn-shenzhen", "cn-wulanchabu", "cn-guangzhou",
                       "ap-southeast-1")  # fmt: skip
"""Where spot was documented in 2025-02; it may be elsewhere by now, so it is a warning."""
MOST_TAGS: Final = 20
"""Alibaba Cloud's limit for tags of a resource; the letters are 128 each."""


class Limit(NamedTuple):
    """`broken` says whether a request breaks it."""

    ours: str
    """The field or option in the user's spec."""
    theirs: str
    """Field of the request."""
    problem: str
    broken: Callable[[CreateJob], bool]


def problems(request: CreateJob) -> Iterator[str]:
    """Everything that the service would refuse, a sentence each, in the names of our spec and options."""
    for rule in RULES:
        if rule.broken(request):
            yield f"{rule.ours} ({rule.theirs}): {rule.problem}"


def warnings(request: CreateJob, region: str) -> tuple[str, ...]:
    """Warnings about what the service may refuse."""
    if _spot(request) and region not in SPOT_REGIONS:
        return (f"resources.spot: spot machines of DLC are documented for {', '.join(SPOT_REGIONS)}, not {region}.",)
    return ()


def _worker(request: CreateJob) -> DlcWorker:
    return request["JobSpecs"][0]


def _spot(request: CreateJob) -> SpotSpec | None:
    return _worker(request).get("SpotSpec")


def _vpc(request: CreateJob) -> UserVpc:
    return request.get("UserVpc", UserVpc())


def _mount_paths(request: CreateJob) -> list[str]:
    return [source["MountPath"] for source in request.get("DataSources", ())]


def _has(pattern: str) -> Callable[[str | None], bool]:
    return lambda text: bool(re.fullmatch(pattern, text or ""))


_is_name = _has(r"[A-Za-z0-9_.-]{1,256}")
_is_image = _has(r"[a-z0-9][A-Za-z0-9./_:@-]+")
_is_path = _has(r"/[^\s,]+")
_is_workspace = _has(r"\d+|ws-[a-z0-9-]+")
_is_type = _has(r"(ecs|ml)(\.[a-z0-9-]+){2,4}")
_is_role = _has(r"acs:ram::\d+:role/[\w.-]+")
_is_cidr = _has(r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}")

_AIMASTER = "EnableErrorMonitoringInAIMaster"


def _roles(request: CreateJob) -> list[str]:
    items = request["CredentialConfig"]["CredentialConfigItems"]
    return [role["RoleArn"] for item in items for role in item["Roles"] if "RoleArn" in role]


RULES: Final[tuple[Limit, ...]] = (
    Limit("name", "DisplayName", "1 to 256 letters, digits, `_`, `.` or `-`", lambda r: not _is_name(r["DisplayName"])),
    Limit("option workspace_id", "WorkspaceId", "should be a number, or ws-… for an old one",
         lambda r: not _is_workspace(r["WorkspaceId"])),
    Limit("option image", "JobSpecs.Image", "is no image's name", lambda r: not _is_image(_worker(r)["Image"])),
    Limit("resources.num_nodes", "JobSpecs.PodCount", "less than 1", lambda r: _worker(r)["PodCount"] < 1),
    Limit("option ecs_spec", "JobSpecs.EcsSpec", "is no machine type, e.g. ecs.gn7i-c8g1.2xlarge",
         lambda r: "EcsSpec" in _worker(r) and not _is_type(_worker(r)["EcsSpec"])),
    Limit("options ecs_spec and resource_id", "JobSpecs.EcsSpec", "one of a machine type and a quota is allowed",
         lambda r: ("EcsSpec" in _worker(r)) == ("ResourceConfig" in _worker(r) or "ResourceId" in r)),
    Limit("options cpu and memory_gb", "JobSpecs.ResourceConfig", "a quota needs both",
         lambda r: "ResourceId" in r and not {"CPU", "Memory"} <= _worker(r).get("ResourceConfig", {}).keys()),
    Limit("option priority", "Priority", "1 to 9", lambda r: not 1 <= r["Priority"] <= 9),
    Limit("resources.spot", "JobSpecs.SpotSpec", "needs one of the options spot_discount_limit and spot_price_limit",
         lambda r: (spot := _spot(r)) is not None and ("SpotDiscountLimit" in spot) == ("SpotPriceLimit" in spot)),
    Limit("resources.spot", "JobSpecs.SpotSpec", "a quota has no spot machines: leave resource_id or spot out",
         lambda r: bool(_spot(r)) and "ResourceId" in r),
    Limit("option aimaster", f"Settings.{_AIMASTER}", "does not work with spot machines of ECS: leave one of them out",
         lambda r: bool(_spot(r)) and _AIMASTER in r["Settings"] and _worker(r).get("EcsSpec", "")[:4] == "ecs."),
    Limit("option vpc_id", "UserVpc.VpcId", "is needed with switch_id, security_group_id or extended_cidrs",
         lambda r: bool(_vpc(r)) and "VpcId" not in _vpc(r)),
    Limit("option security_group_id", "UserVpc.SecurityGroupId", "is needed with vpc_id",
         lambda r: "VpcId" in _vpc(r) and "SecurityGroupId" not in _vpc(r)),
    Limit("option extended_cidrs", "UserVpc.ExtendedCIDRs", "is needed with switch_id: all address blocks of the VPC",
         lambda r: "SwitchId" in _vpc(r) and not _vpc(r).get("ExtendedCIDRs")),
    Limit("option extended_cidrs", "UserVpc.ExtendedCIDRs", "should be address blocks such as 192.168.0.0/16",
         lambda r: not all(_is_cidr(block) for block in _vpc(r).get("ExtendedCIDRs", ()))),
    Limit("option role", "CredentialConfig.RoleArn", "should be acs:ram::ACCOUNT:role/NAME",
         lambda r: not all(_is_role(arn) for arn in _roles(r))),
    Limit("option role", "CredentialConfig.RoleArn",
          "is needed with secrets: PAI's default role cannot read KMS; `ftsdk doctor -b pai` prints the role's policy",
          lambda r: ENV_SECRETS_FROM in r["Envs"] and not _roles(r)),
    Limit("option spot_types", "JobSpecs.ElasticSpotSpecs", "needs resources.spot and the option spot_price_limit",
          lambda r: bool(_worker(r).get("ElasticSpotSpecs")) and "SpotPriceLimit" not in (_spot(r) or {})),
    Limit("option mounts", "DataSources.MountPath", "should be a whole path, from / on",
         lambda r: not all(_is_path(path) for path in _mount_paths(r))),
    Limit("option mounts", "DataSources.MountPath", "two mounts have one path",
         lambda r: len(set(_mount_paths(r))) < len(_mount_paths(r))),
    Limit("option mounts", "DataSources", "a mount is either an address or a dataset's id",
         lambda r: any(("Uri" in s) == ("DataSourceId" in s) for s in r.get("DataSources", ()))),
    Limit("timeout_hours", "JobMaxRunningTimeMinutes", "less than a minute",
         lambda r: r.get("JobMaxRunningTimeMinutes", 1) < 1),
    Limit("option tags", "Settings.Tags", f"at most {MOST_TAGS} tags of 128 letters, none begins with acs: or aliyun",
         lambda r: not _tags_fit(r["Settings"]["Tags"])),
    Limit("env", "the whole request", f"is longer than {MOST_BYTES} bytes",
         lambda r: len(json.dumps(r, ensure_ascii=False).encode()) > MOST_BYTES - ADDED_BYTES),
)  # fmt: skip


def _tags_fit(tags: Mapping[str, str]) -> bool:
    fine = all(key and not key.startswith(("acs:", "aliyun")) and max(len(key), len(tags[key])) <= 128 for key in tags)
    return fine and len(tags) <= MOST_TAGS
