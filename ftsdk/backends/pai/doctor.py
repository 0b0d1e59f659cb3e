"""Check the account for what the pai backend needs; the checks run in parallel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from ftsdk.backends.base import Check
from ftsdk.backends.pai import addresses, drivers, roles
from ftsdk.backends.pai.service import AlibabaServices
from ftsdk.backends.pai.shapes import EcsSpec, RamPolicy
from ftsdk.errors import BackendError, FtsdkError
from ftsdk.facts import platforms
from ftsdk.facts.platforms import KnownPlatform
from ftsdk.home import home_dir
from ftsdk.storage.objects import ObjectStore

if TYPE_CHECKING:
    from ftsdk.backends.pai.options import PaiOptions

WORKSPACE: Final = ("paiworkspace:ListConfigs", "paiworkspace:GetWorkspace")
ACTIONS: Final = ("CreateJob", "GetJob", "ListJobs", "StopJob", "GetPodLogs", "GetWebTerminal", "ListEcsSpecs")
SPELLINGS: Final = ("paidlc", "pai")
"""The documents disagree on what DLC's actions are called (2026-08), so a policy names both."""
SECRETS: Final = ("kms:DescribeSecret", "kms:CreateSecret", "kms:PutSecretValue")
IMAGES: Final = ("cr:ListInstance", "cr:GetAuthorizationToken", "cr:PushRepository", "cr:PullRepository")
KEPT: Final = "doctor"
MOST_TYPES: Final = 8
"""So many machine types are named."""


def checks(options: PaiOptions, services: AlibabaServices) -> Iterator[Check]:
    """Credentials and workspace first: without them nothing else can be checked."""
    try:
        rows = services.call("list_jobs", WorkspaceId=services.workspace_id, PageSize=1)
    except FtsdkError as problem:
        policy = json.dumps(submitter_policy(options))
        remedy = f"{problem} A person who submits needs this policy: {policy}"
        yield Check(what="credentials and workspace", ok=False, detail="not usable", remedy=remedy)
        return
    detail = f"{rows.get('TotalCount', 0)} jobs in workspace {options.workspace_id} in {services.region}"
    yield Check(what="credentials and workspace", ok=True, detail=detail)
    queries: list[Callable[[], Check]] = [
        lambda: _bucket(options),
        lambda: _image(options),
        *([] if options.resource_id else [lambda: _machines(services, options)]),
        lambda: _role(services, options),
    ]
    with ThreadPoolExecutor(len(queries)) as pool:
        yield from pool.map(lambda check: check(), queries)


def submitter_policy(options: PaiOptions) -> RamPolicy:
    """The permissions of the user who submits and watches."""
    dlc = [f"{spelling}:{action}" for spelling in SPELLINGS for action in ACTIONS]
    return _policy([*dlc, *WORKSPACE, *SECRETS, *IMAGES], options)


def job_policy(options: PaiOptions) -> RamPolicy:
    """What the job's role may do."""
    return _policy(["kms:GetSecretValue", "kms:Decrypt"], options)


def _policy(actions: list[str], options: PaiOptions) -> RamPolicy:
    bucket = options.bucket or "BUCKET"
    objects = ["oss:GetObject", "oss:PutObject", "oss:DeleteObject", "oss:AbortMultipartUpload", "oss:ListParts"]
    return {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": "*"},
            {"Effect": "Allow", "Action": objects, "Resource": f"acs:oss:*:*:{bucket}/*"},
            {"Effect": "Allow", "Action": "oss:ListObjects", "Resource": f"acs:oss:*:*:{bucket}"},
        ],
    }


def _bucket(options: PaiOptions) -> Check:
    """Write, read and delete a small object, and whether the bucket lets it be created once only."""
    try:
        store = ObjectStore(addresses.root(options), addresses.storage(options))
        store.put(KEPT, b"1")
        store.read(KEPT)
        overwrites = store.put_if_absent(KEPT, b"2")
        store.delete(KEPT)
    except (FtsdkError, OSError) as problem:
        cname = "; new accounts reach the mainland by a domain of the bucket's own only (oss_endpoint, oss_cname)"
        remedy = f"{problem} Make it: ossutil mb oss://{options.bucket or 'BUCKET'}{cname}."
        return Check(what="bucket", ok=False, detail="cannot be used", remedy=remedy)
    if overwrites:
        detail = f"{options.bucket} overwrites what exists, so two watchers could start the same attempt twice"
        remedy = "use a bucket without versioning, which makes OSS ignore x-oss-forbid-overwrite"
        return Check(what="bucket", ok=False, detail=detail, remedy=remedy)
    return Check(what="bucket", ok=True, detail=store.uri)


def _image(options: PaiOptions) -> Check:
    """Check the option only: not every user may query a registry."""
    if not options.image:
        where = "registry-vpc.REGION.aliyuncs.com/NAMESPACE/ftsdk:TAG"
        remedy = f"set it to an address in ACR, e.g. {where}, then: ftsdk image build && ftsdk image push --backend pai"
        return Check(what="image", ok=False, detail="the option image is missing", remedy=remedy)
    return Check(what="image", ok=True, detail=f"{options.image} (whether it can be pulled shows at the first job)")


def _machines(services: AlibabaServices, options: PaiOptions) -> Check:
    """What can be rented right now, and as spot: the type that is named, or those with GPUs. Their drivers are kept."""
    ecs_spec = options.ecs_spec
    try:
        rows = list(services.machines(**({"InstanceTypes": ecs_spec} if ecs_spec else {"AcceleratorType": "GPU"})))
    except BackendError as problem:
        return Check(what="machine types", ok=True, detail=f"could not be queried ({problem})")
    known: KnownPlatform = {"drivers": drivers.of_machines(rows)}
    platforms.keep(home_dir(), "pai", services.region, **known)
    free = [row for row in rows if row.get("IsAvailable", True) and ecs_spec in (None, row["InstanceType"])]
    if not free:
        detail = f"{ecs_spec or 'no type with GPUs'} is not to be had here"
        remedy = "name another by -o ecs_spec=TYPE, or another region"
        return Check(what="machine types", ok=False, detail=detail, remedy=remedy)
    if ecs_spec and (sentence := drivers.problem(known, ecs_spec, options.image)):
        return Check(what="machine types", ok=False, detail="the driver is too old", remedy=sentence)
    spot = [row for row in free if row.get("SpotStockStatus") == "WithStock"]
    return Check(what="machine types", ok=True, detail=f"{_named(free)}; spot: {_named(spot)}")


def _named(rows: Sequence[EcsSpec]) -> str:
    """Types by name, with PAI's own figure for the discount of spot."""
    words = [row["InstanceType"] + _discount(row) for row in rows[:MOST_TYPES]]
    more = [f"{len(rows) - MOST_TYPES} more"] if len(rows) > MOST_TYPES else []
    return ", ".join([*words, *more]) or "none"


def _discount(row: EcsSpec) -> str:
    figure = row.get("NonProtectSpotDiscount")
    return "" if figure is None else f" (discount {figure:g})"


def _role(services: AlibabaServices, options: PaiOptions) -> Check:
    """Without a role of the user's own, whether PAI's default one reaches the bucket; what it reaches is kept."""
    policy = json.dumps(job_policy(options))
    if options.role:
        return Check(what="role of the job", ok=True, detail=f"{options.role}; it needs this policy: {policy}")
    try:
        default = services.default_bucket()
    except BackendError as problem:
        detail = f"PAI's default role; the workspace's default bucket could not be queried ({problem})"
        return Check(what="role of the job", ok=True, detail=detail)
    platforms.keep(home_dir(), "pai", services.region, default_bucket=default)
    if default != options.bucket:
        remedy = f"{roles.unreachable(options.bucket or 'BUCKET', default)} The policy: {policy}"
        return Check(what="role of the job", ok=False, detail="PAI's default role", remedy=remedy)
    detail = f"PAI's default role, which reaches {default} and no secrets (they need a role with this policy: {policy})"
    return Check(what="role of the job", ok=True, detail=detail)
