"""SageMaker's requests and descriptions, as far as they are written or read, in the names of its API reference.

A request may have further fields: those that a user passes through (`-o request.PATH=VALUE`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NotRequired, TypedDict


class Tag(TypedDict):
    """A tag of a resource."""

    Key: str
    Value: str


class VpcConfig(TypedDict):
    """A private network."""

    SecurityGroupIds: list[str]
    Subnets: list[str]


class InstancePreference(TypedDict):
    """One of several machine types, in the order of preference."""

    InstanceType: str
    InstanceCount: int
    TrainingPlanArns: NotRequired[list[str]]


class TrainingResources(TypedDict, total=False):
    """The machines."""

    InstanceType: str
    InstanceCount: int
    TrainingPlanArn: str
    InstancePreferences: list[InstancePreference]
    VolumeSizeInGB: int
    VolumeKmsKeyId: str
    KeepAlivePeriodInSeconds: int
    SelectedInstanceType: str
    """In a description: the type of `InstancePreferences` that the service has chosen."""


class StoppingCondition(TypedDict, total=False):
    """Time limits."""

    MaxRuntimeInSeconds: int
    MaxWaitTimeInSeconds: int
    MaxPendingTimeInSeconds: int


class MetricDefinition(TypedDict):
    """A metric that the service reads from the log."""

    Name: str
    Regex: str


class TrainingImageConfig(TypedDict):
    """How an image outside ECR is pulled."""

    TrainingRepositoryAccessMode: str
    TrainingRepositoryAuthConfig: NotRequired[dict[str, str]]


class AlgorithmSpecification(TypedDict):
    """The image and how it is started."""

    TrainingImage: str
    TrainingImageConfig: NotRequired[TrainingImageConfig]
    TrainingInputMode: str
    ContainerEntrypoint: list[str]
    MetricDefinitions: list[MetricDefinition]


class OutputDataConfig(TypedDict):
    """Where the service puts what a job leaves in its output folder."""

    S3OutputPath: str
    CompressionType: str
    KmsKeyId: NotRequired[str]


class InputChannel(TypedDict):
    """An input of a job."""

    ChannelName: str
    DataSource: Mapping[str, Mapping[str, str]]
    InputMode: str


class CreateTrainingJob(TypedDict):
    """The request that starts an attempt."""

    TrainingJobName: str
    RoleArn: str | None
    """`limits` refuses None."""
    AlgorithmSpecification: AlgorithmSpecification
    InputDataConfig: list[InputChannel]
    OutputDataConfig: OutputDataConfig
    ResourceConfig: TrainingResources
    StoppingCondition: StoppingCondition
    EnableManagedSpotTraining: bool
    EnableNetworkIsolation: bool
    EnableInterContainerTrafficEncryption: bool
    Environment: dict[str, str]
    Tags: list[Tag]
    VpcConfig: NotRequired[VpcConfig]
    RetryStrategy: NotRequired[dict[str, int]]
    CheckpointConfig: NotRequired[dict[str, str]]
    RemoteDebugConfig: NotRequired[dict[str, bool]]


class TrainingJobDescription(TypedDict, total=False):
    """Response of DescribeTrainingJob, or a row of ListTrainingJobs, which has some of the fields."""

    TrainingJobName: str
    TrainingJobArn: str
    TrainingJobStatus: str
    SecondaryStatus: str
    FailureReason: str
    CreationTime: datetime
    TrainingStartTime: datetime
    TrainingEndTime: datetime
    LastModifiedTime: datetime
    TrainingTimeInSeconds: int
    BillableTimeInSeconds: int
    ResourceConfig: TrainingResources
    OutputDataConfig: OutputDataConfig
    Environment: dict[str, str]


class S3Folder(TypedDict):
    """A folder in S3 that a model's container gets."""

    S3Uri: str
    S3DataType: str
    CompressionType: str


class ModelContainer(TypedDict):
    """The server of a model."""

    Image: str
    Environment: dict[str, str]
    ModelDataSource: NotRequired[dict[str, S3Folder]]
    AdditionalModelDataSources: NotRequired[Sequence[Mapping[str, object]]]


class CreateModel(TypedDict):
    """The request that makes a model of an endpoint."""

    ModelName: str
    ExecutionRoleArn: str | None
    PrimaryContainer: ModelContainer
    EnableNetworkIsolation: bool
    Tags: list[Tag]
    VpcConfig: NotRequired[VpcConfig]


class ProductionVariant(TypedDict):
    """One model of an endpoint and its machines."""

    VariantName: str
    ModelName: str
    InstanceType: str
    InitialInstanceCount: int
    InitialVariantWeight: float
    ModelDataDownloadTimeoutInSeconds: int
    ContainerStartupHealthCheckTimeoutInSeconds: int
    VolumeSizeInGB: NotRequired[int]
    InferenceAmiVersion: NotRequired[str]


class CreateEndpointConfig(TypedDict):
    """The request that makes an endpoint's configuration."""

    EndpointConfigName: str
    ProductionVariants: list[ProductionVariant]
    Tags: list[Tag]
    KmsKeyId: NotRequired[str]


class CreateEndpoint(TypedDict):
    """The request that makes an endpoint."""

    EndpointName: str
    EndpointConfigName: str
    Tags: list[Tag]


class EndpointRequests(TypedDict):
    """The requests of a deployment."""

    models: list[CreateModel]
    config: CreateEndpointConfig
    endpoint: CreateEndpoint


class ImageManifest(TypedDict, total=False):
    """An image's manifest, or an index of manifests (OCI image specification)."""

    manifests: list[ManifestEntry]
    config: dict[str, str]


class ImageSettings(TypedDict, total=False):
    """How an image is started, as far as it is read."""

    Labels: dict[str, str] | None


class ImageConfig(TypedDict):
    """An image's configuration (OCI image specification)."""

    os: str
    architecture: str
    config: NotRequired[ImageSettings]


class ManifestEntry(TypedDict, total=False):
    """One image of an index."""

    platform: dict[str, str]


class Endpoint(TypedDict):
    """Response of DescribeEndpoint."""

    EndpointArn: str
    EndpointStatus: str
    FailureReason: NotRequired[str]


class LogStream(TypedDict):
    """A row of CloudWatch's DescribeLogStreams."""

    logStreamName: str
    creationTime: int
    """Milliseconds since the epoch."""


class StreamEvent(TypedDict):
    """A line in CloudWatch."""

    message: str


class LogPage(TypedDict):
    """Response of CloudWatch's GetLogEvents."""

    events: list[StreamEvent]
    nextForwardToken: str
