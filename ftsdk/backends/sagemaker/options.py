"""Options of the sagemaker backend: what belongs to an AWS account and not to the training."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from ftsdk.backends.options import Options, Pairs, Words, first_set
from ftsdk.backends.passthrough import RequestFields
from ftsdk.backends.sagemaker import limits, vpc
from ftsdk.errors import did_you_mean

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


class SageMakerOptions(Options):
    """Options of the sagemaker backend."""

    role: str | None = None
    """ARN of the role that the job runs as, e.g. `arn:aws:iam::123456789012:role/ftsdk`; needed for plan and submit."""
    region: str | None = Field(default_factory=lambda: first_set(*REGION_VARIABLES))
    """AWS region, e.g. `us-west-2` or `cn-northwest-1`; AWS_REGION if left out."""
    bucket: str | None = None
    """S3 bucket of inputs and results, in the same region; `sagemaker-REGION-ACCOUNT` if left out."""
    prefix: str = "ftsdk"
    """Folder in the bucket."""
    image: str | None = None
    """Image in ECR with the trainer and a `python`; what `ftsdk image push --backend sagemaker` made if left out."""
    registry_login: str | None = None
    """ARN of a Lambda function that returns the login of a private registry outside ECR, from which `image` is pulled
    through your VPC."""
    torch: Literal["cuda", "cuda12"] = "cuda"
    """Which of ftsdk's images: CUDA 13 (driver R580 or newer, Turing or newer), or CUDA 12 (R525, Volta too)."""
    efa: bool = False
    """Your `image` holds libfabric and aws-ofi-nccl, so nodes talk through EFA; ftsdk's own image talks TCP."""
    instance_type: Words = ()
    """Machine types in order of preference, e.g. `ml.g5.2xlarge,ml.g6.2xlarge`; chosen by `resources` if left out."""
    volume_gb: int | None = None
    """Disk of each machine in gigabytes; `resources.disk_gb`, else 100. Types with NVMe storage have theirs."""
    subnets: Words = ()
    """Subnets of your VPC; without a NAT the job needs endpoints there (see the page)."""
    security_groups: Words = ()
    """Security groups of your VPC; nodes of one job must be allowed to talk to each other."""
    kms_key: str | None = None
    """KMS key for the disk (but for NVMe storage) and for what the platform uploads; the service's own if left out."""
    keep_alive_minutes: int = 0
    """Warm pool: how long a machine waits for the next job after the end, billed; needs a quota, excludes spot."""
    network_isolation: bool = False
    """No network in the job but for its nodes: model and data must come from here or S3."""
    encrypt_traffic: bool = False
    """Encrypt what nodes send each other; slower."""
    input_mode: Literal["File", "FastFile"] = "File"
    """File copies inputs to the disk before the start; FastFile reads them from S3 while training."""
    file_systems: Pairs = Field(default={})
    """FSx for Lustre and EFS to read, at `/opt/ml/input/data/NAME`: `hub=fsx://fs-0a1b2c3d4e/MOUNT/hub` or
    `hub=efs://fs-0a1b2c3d/hub`; needs `subnets` that reach them."""
    max_wait_hours: float | None = Field(default=None, gt=0)
    """Spot: hours in all, waiting included; the time limit and 24 hours if left out."""
    max_pending_hours: float | None = Field(default=None, gt=0)
    """Hours (0.5 to 672) that a job on GPU types may wait for machines; as long as the service likes if left out."""
    training_plan: str | None = None
    """ARN of a training plan, whose reserved capacity the job uses; excludes spot."""
    remote_debug: bool = False
    """A shell in the containers: `aws ssm start-session --target sagemaker-training-job:NAME-a1_algo-1`."""
    model_artifacts: bool = False
    """Put the model where SageMaker looks too (S3ModelArtifacts): a second upload, billed at the machine's price."""
    retries: int = Field(default=2, ge=0, le=30)
    """How often the service starts a job again after an internal error of its own; 0 for never."""
    tags: Pairs = Field(default={})
    """Tags of the job, e.g. `team=nlp,project=bot`."""
    secrets_prefix: str = "ftsdk/"
    """What stands before a secret's name in Secrets Manager; in SSM Parameter Store, with a slash before it."""
    request: RequestFields = Field(default={})
    """Fields of CreateTrainingJob that have no option, e.g. `-o request.MlflowConfig.MlflowResourceArn=arn:…`; a field
    that the service does not have, and one that ftsdk sets itself, is refused."""
    endpoint_url: str | None = None
    """Address of all AWS services, for tests; the region's own if left out."""

    @field_validator("file_systems")
    @classmethod
    def _known_file_systems(cls, given: dict[str, str]) -> dict[str, str]:
        for name, address in given.items():
            if not vpc.FILE_SYSTEM.fullmatch(address):
                raise ValueError(f"{name}={address}: should be fsx://fs-ID/MOUNT/FOLDER or efs://fs-ID/FOLDER")
        return given

    @field_validator("instance_type")
    @classmethod
    def _known_types(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        """Newer types than our table has are looked up in botocore. That reads files, so plans can't do it."""
        for name in types:
            known = limits.instance_types()
            if name not in known and name not in limits.instance_types_of_botocore():
                raise ValueError(f"there is no training instance {name!r}{did_you_mean(name, known)}")
        return types
