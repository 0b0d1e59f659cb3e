"""PAI's requests and responses, as far as they are written or read, in the names of its API reference.

A request may have further fields: those that a user passes through (`-o request.PATH=VALUE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict


class SpotSpec(TypedDict):
    """The limit of a spot machine's price."""

    SpotStrategy: str
    SpotDiscountLimit: NotRequired[float]
    SpotPriceLimit: NotRequired[float]
    """A minute."""


class ElasticSpotSpec(TypedDict):
    """One more machine type of a spot job."""

    InstanceType: str
    SpotStrategy: str
    SpotPriceLimit: NotRequired[float]
    """An hour."""


class DlcWorker(TypedDict):
    """The nodes of a job."""

    Type: str
    Image: str
    PodCount: int
    RestartPolicy: str
    ImageConfig: NotRequired[dict[str, str]]
    EcsSpec: NotRequired[str]
    ResourceConfig: NotRequired[dict[str, str]]
    """A node's share of a quota."""
    SpotSpec: NotRequired[SpotSpec]
    ElasticSpotSpecs: NotRequired[list[ElasticSpotSpec]]
    SystemDisk: NotRequired[dict[str, int]]


class DataSource(TypedDict):
    """A mount: either of an address or of a dataset of PAI."""

    Uri: NotRequired[str]
    DataSourceId: NotRequired[str]
    MountPath: str
    MountAccess: str


class CredentialRole(TypedDict):
    """A role whose credentials the job gets."""

    RoleType: str
    RoleArn: NotRequired[str]


class CredentialItem(TypedDict):
    """Credentials that the platform injects."""

    Key: str
    Type: str
    Roles: list[CredentialRole]


class CredentialConfig(TypedDict):
    """The job's credentials."""

    EnableCredentialInject: bool
    AliyunEnvRoleKey: str
    CredentialConfigItems: list[CredentialItem]


class DlcSettings(TypedDict):
    """Further settings of a job."""

    Tags: dict[str, str]
    TerminationGracePeriodSeconds: int
    EnableRDMA: NotRequired[bool]
    Driver: NotRequired[str]
    EnableSanityCheck: NotRequired[bool]
    EnableErrorMonitoringInAIMaster: NotRequired[bool]
    ErrorMonitoringArgs: NotRequired[str]


class UserVpc(TypedDict, total=False):
    """A private network."""

    VpcId: str
    SwitchId: str
    SecurityGroupId: str
    ExtendedCIDRs: list[str]
    DefaultRoute: str


class CreateJob(TypedDict):
    """The body of DLC's CreateJob."""

    DisplayName: str
    JobType: str
    WorkspaceId: str
    JobSpecs: list[DlcWorker]
    UserCommand: str
    Envs: dict[str, str]
    DataSources: list[DataSource]
    CredentialConfig: CredentialConfig
    Priority: int
    Settings: DlcSettings
    ResourceId: NotRequired[str]
    UserVpc: NotRequired[UserVpc]
    JobMaxRunningTimeMinutes: NotRequired[int]


class Pod(TypedDict, total=False):
    """A node of a job, now or earlier."""

    PodId: str
    PodUid: str
    SubStatus: str
    GmtCreateTime: str
    HistoryPods: list[Pod]


class DlcJob(TypedDict, total=False):
    """Response of GetJob, or a row of ListJobs, which has some of the fields."""

    JobId: str
    DisplayName: str
    Status: str
    ReasonCode: str
    ReasonMessage: str
    StatusHistory: list[dict[str, str]]
    JobSpecs: list[DlcWorker]
    Envs: dict[str, str]
    Pods: list[Pod]
    GmtCreateTime: str
    GmtFinishTime: str
    GmtSuccessedTime: str
    GmtFailedTime: str
    GmtStoppedTime: str


class EcsSpec(TypedDict, total=False):
    """A row of ListEcsSpecs: a machine type as it is right now."""

    InstanceType: str
    IsAvailable: bool
    SpotStockStatus: str
    NonProtectSpotDiscount: float
    DefaultGPUDriver: str
    SupportedGPUDrivers: list[str]


class EasService(TypedDict):
    """The description of an EAS service, from which it is created."""

    metadata: Mapping[str, str | int]
    cloud: Mapping[str, Mapping[str, str | None]]
    containers: list[EasContainer]
    storage: list[Mapping[str, object]]


class EasContainer(TypedDict):
    """The server of a service."""

    image: str
    port: int
    script: str
    env: list[dict[str, str]]
    startup_check: Mapping[str, object]


class EasAutoscaler(TypedDict):
    """How many servers a service has."""

    min: int
    max: int
    scaleStrategies: list[Mapping[str, str | float]]
    behavior: NotRequired[dict[Literal["onZero"], dict[str, int]]]


class EasRequests(TypedDict):
    """The requests of a deployment."""

    service: EasService
    labels: dict[str, str]
    autoscaler: NotRequired[EasAutoscaler]


class EasDescription(TypedDict, total=False):
    """Response of EAS's DescribeService."""

    Status: str
    Reason: str
    Message: str
    InternetEndpoint: str
    AccessToken: str
    Labels: list[dict[str, str]]


class PolicyStatement(TypedDict):
    """What a RAM policy allows."""

    Effect: str
    Action: str | list[str]
    Resource: str


class RamPolicy(TypedDict):
    """A policy of Alibaba Cloud's RAM."""

    Version: str
    Statement: list[PolicyStatement]
