"""Options of the pai backend: what belongs to an Alibaba Cloud account and not to the training."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from ftsdk.backends.options import Options, Pairs, Words, first_set
from ftsdk.backends.passthrough import RequestFields

REGION_VARIABLES: Final = ("ALIBABA_CLOUD_REGION_ID", "ALIBABA_CLOUD_REGION")


class PaiOptions(Options):
    """Options of the pai backend."""

    workspace_id: Annotated[str, BeforeValidator(str)] | None = None
    """Number of the PAI workspace, e.g. `46099`; needed for plan and submit, for the service would take any."""
    region: str | None = Field(default_factory=lambda: first_set(*REGION_VARIABLES))
    """Region, e.g. `cn-hangzhou` or `ap-southeast-1`; ALIBABA_CLOUD_REGION_ID if left out."""
    bucket: str | None = None
    """OSS bucket of inputs and results, in the same region; needed for plan and submit."""
    prefix: str = "ftsdk"
    """Folder in the bucket."""
    image: str | None = None
    """Image with the trainer and a `python`, e.g. of ACR in the same region; needed for plan and submit."""
    image_auth: str | None = None
    """Name of an environment variable here that holds `user:password` for the image's registry, read at submit."""
    ecs_spec: str | None = None
    """Machine type, paid as it goes, e.g. `ecs.gn7i-c8g1.2xlarge`; chosen by `resources` if left out."""
    resource_id: str | None = None
    """Resource quota to run on instead, e.g. `quota1a2b3c`; then `cpu` and `memory_gb` say what a node takes of it."""
    cpu: int | None = Field(default=None, gt=0)
    """vCPUs of a node, in a quota."""
    memory_gb: int | None = Field(default=None, gt=0)
    """Main memory of a node in GiB, in a quota."""
    shared_memory_gb: int | None = Field(default=None, gt=0)
    """Shared memory of a node in GiB, in a quota."""
    gpu_type: str | None = None
    """Type of GPU in a quota that has several, as the quota names it."""
    role: str | None = None
    """ARN of the RAM role that the job has, `acs:ram::ACCOUNT:role/NAME`. PAI's default role, if left out, reaches the
    workspace's default bucket only and no secrets."""
    priority: int = Field(default=1, ge=1, le=9)
    """1 to 9, the highest; counts within a quota."""
    spot_discount_limit: float | None = Field(default=None, gt=0, le=1)
    """Spot: the highest discount factor, sent as it is, e.g. 0.8; this or `spot_price_limit`."""
    spot_price_limit: float | None = Field(default=None, gt=0)
    """Spot: the highest price of a machine in CNY a minute; this or `spot_discount_limit`."""
    spot_types: Words = ()
    """Spot: more machine types that will do, e.g. `ecs.gn7i-c16g1.4xlarge`; needs `spot_price_limit`."""
    vpc_id: str | None = None
    """VPC that the job joins."""
    switch_id: str | None = None
    """vSwitch in the VPC; PAI takes one with stock if left out."""
    security_group_id: str | None = None
    """Security group in the VPC; nodes of one job must be allowed to talk to each other."""
    extended_cidrs: Words = ()
    """All address blocks of the VPC; needed with `switch_id`."""
    default_route: Literal["eth0", "eth1"] | None = None
    """Way to the internet: eth0 is PAI's, eth1 the VPC's."""
    mounts: Pairs = Field(default={})
    """More to read inside: `/mnt/corpus=d-0a1b2c` (a dataset) or `/mnt/nas=nas://…` (NAS, CPFS or OSS); read only."""
    rdma: bool = False
    """Let nodes talk over RDMA (Lingjun)."""
    aimaster: bool | None = None
    """Lingjun: PAI's fault tolerance starts a failed job again itself; on for spot machines of Lingjun if left out."""
    driver: str | None = None
    """Version of the NVIDIA driver, where the machine type has several; if left out, the first one that the image's
    CUDA version needs, as far as `ftsdk doctor -b pai` has queried them."""
    sanity_check: bool = False
    """Let PAI check the machines' computing power before the job starts."""
    grace_s: int = Field(default=120, ge=20, le=3600)
    """Seconds between SIGTERM and SIGKILL when the job is stopped."""
    tags: Pairs = Field(default={})
    """Tags of the job, e.g. `team=nlp,project=bot`."""
    secrets_prefix: str = "ftsdk/"
    """What stands before a secret's name in KMS."""
    kms_instance: str | None = None
    """KMS instance in which `ftsdk secrets put` makes secrets, where the account has to name one."""
    kms_key: str | None = None
    """Key that encrypts them there."""
    network: Literal["public", "vpc"] = "public"
    """How this machine reaches Alibaba Cloud: `vpc` from an ECS or DSW in the same region."""
    endpoint: str | None = None
    """Address of DLC, if it is not the region's; with http:// for tests."""
    kms_endpoint: str | None = None
    """Address of KMS for this machine and for the job, if it is not the region's."""
    workspace_endpoint: str | None = None
    """Address of PAI's workspaces (AIWorkSpace), if it is not the region's."""
    eas_endpoint: str | None = None
    """Address of EAS, where deployments run, if it is not the region's."""
    acr_endpoint: str | None = None
    """Address of the image registry's API, if it is not the region's."""
    oss_endpoint: str | None = None
    """URL at which this machine reaches OSS, if it is not the region's."""
    oss_cname: bool = False
    """`oss_endpoint` is a domain of the bucket's own (needed in the mainland for accounts made after 2025-03-20)."""
    oss_job_endpoint: str | None = None
    """URL at which the job reaches OSS, if it is not the region's internal one."""
    request: RequestFields = Field(default={})
    """Fields of CreateJob that have no option, e.g. `-o request.Settings.EnableOssAppend=true`; those below `JobSpecs`
    count for every node."""
