"""Describe an LLM fine-tuning once, run it anywhere, survive anything, get the model back.

    from ftsdk import Estimator, Lora

    job = Estimator(model="Qwen/Qwen3-8B", dataset="train.jsonl", tuning=Lora(rank=16), backend="docker").fit()
    print(job.model().uri)

Names are imported when they are first used, so that `import ftsdk` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftsdk.backends.base import Backend as Backend
    from ftsdk.backends.base import Capabilities as Capabilities
    from ftsdk.backends.base import Check as Check
    from ftsdk.backends.base import DeploymentInfo as DeploymentInfo
    from ftsdk.backends.base import Deployments as Deployments
    from ftsdk.backends.base import DeploymentState as DeploymentState
    from ftsdk.backends.base import JobInfo as JobInfo
    from ftsdk.backends.base import JobState as JobState
    from ftsdk.backends.base import SupportsDeployments as SupportsDeployments
    from ftsdk.backends.base import SupportsDoctor as SupportsDoctor
    from ftsdk.backends.base import SupportsImagePush as SupportsImagePush
    from ftsdk.backends.base import SupportsNativeHandle as SupportsNativeHandle
    from ftsdk.backends.base import SupportsOffers as SupportsOffers
    from ftsdk.backends.base import SupportsOnDemand as SupportsOnDemand
    from ftsdk.backends.base import SupportsSecretStore as SupportsSecretStore
    from ftsdk.backends.base import SupportsTerminal as SupportsTerminal
    from ftsdk.contract import Reason as Reason
    from ftsdk.contract.release import __version__ as __version__
    from ftsdk.errors import AuthError as AuthError
    from ftsdk.errors import BackendError as BackendError
    from ftsdk.errors import CapacityError as CapacityError
    from ftsdk.errors import DataError as DataError
    from ftsdk.errors import FtsdkError as FtsdkError
    from ftsdk.errors import JobFailedError as JobFailedError
    from ftsdk.errors import JobNotFoundError as JobNotFoundError
    from ftsdk.errors import NotInstalledError as NotInstalledError
    from ftsdk.errors import QuotaError as QuotaError
    from ftsdk.errors import SpecError as SpecError
    from ftsdk.errors import UnavailableError as UnavailableError
    from ftsdk.errors import UnsupportedError as UnsupportedError
    from ftsdk.errors import WaitTimeoutError as WaitTimeoutError
    from ftsdk.estimator import Estimator as Estimator
    from ftsdk.facts import Facts as Facts
    from ftsdk.jobs.history import AttemptRecord as AttemptRecord
    from ftsdk.jobs.job import Job as Job
    from ftsdk.jobs.listing import ListedJob as ListedJob
    from ftsdk.jobs.listing import list_jobs as list_jobs
    from ftsdk.jobs.metrics import MetricRecord as MetricRecord
    from ftsdk.jobs.metrics import MetricRecords as MetricRecords
    from ftsdk.jobs.resident import WatchEvent as WatchEvent
    from ftsdk.jobs.retrying import Decision as Decision
    from ftsdk.jobs.status import Status as Status
    from ftsdk.models.deployment import Deployment as Deployment
    from ftsdk.models.model import Model as Model
    from ftsdk.plan import Plan as Plan
    from ftsdk.plan.deployment import DeploymentPlan as DeploymentPlan
    from ftsdk.reports.comparing import Comparison as Comparison
    from ftsdk.reports.comparing import compare as compare
    from ftsdk.reports.reproducing import Reproduction as Reproduction
    from ftsdk.reports.reproducing import reproduce as reproduce
    from ftsdk.sizing.estimate import Estimate as Estimate
    from ftsdk.spec import Budget as Budget
    from ftsdk.spec import Checkpoint as Checkpoint
    from ftsdk.spec import CloudWatch as CloudWatch
    from ftsdk.spec import Dataset as Dataset
    from ftsdk.spec import Evaluate as Evaluate
    from ftsdk.spec import Export as Export
    from ftsdk.spec import Freeze as Freeze
    from ftsdk.spec import Full as Full
    from ftsdk.spec import Generate as Generate
    from ftsdk.spec import Hyperparameters as Hyperparameters
    from ftsdk.spec import JobSpec as JobSpec
    from ftsdk.spec import Lora as Lora
    from ftsdk.spec import Merge as Merge
    from ftsdk.spec import Method as Method
    from ftsdk.spec import Mlflow as Mlflow
    from ftsdk.spec import Oft as Oft
    from ftsdk.spec import PythonFile as PythonFile
    from ftsdk.spec import QLora as QLora
    from ftsdk.spec import Resources as Resources
    from ftsdk.spec import Retry as Retry
    from ftsdk.spec import Reward as Reward
    from ftsdk.spec import Serve as Serve
    from ftsdk.spec import Sharding as Sharding
    from ftsdk.spec import Swanlab as Swanlab
    from ftsdk.spec import Tracking as Tracking
    from ftsdk.spec import Trackio as Trackio
    from ftsdk.spec import Tuning as Tuning
    from ftsdk.spec import Wandb as Wandb
    from ftsdk.spec.fields import SpecFields as SpecFields
    from ftsdk.storage.records import LogLine as LogLine
    from ftsdk.studies.pipelines.pipeline import Pipeline as Pipeline
    from ftsdk.studies.pipelines.pipeline import PipelinePlan as PipelinePlan
    from ftsdk.studies.pipelines.step import Push as Push
    from ftsdk.studies.pipelines.step import Step as Step
    from ftsdk.studies.space import ParameterRange as ParameterRange
    from ftsdk.studies.study import Study as Study
    from ftsdk.studies.study import StudyStatus as StudyStatus
    from ftsdk.studies.study import list_studies as list_studies
    from ftsdk.studies.sweep import Sweep as Sweep
    from ftsdk.studies.sweep import SweepPlan as SweepPlan
    from ftsdk.studies.trials import Trial as Trial

_HOMES = {
    "Step": "studies.pipelines.step",
    "PythonFile": "spec",
    "Push": "studies.pipelines.step",
    "PipelinePlan": "studies.pipelines.pipeline",
    "Pipeline": "studies.pipelines.pipeline",
    "AttemptRecord": "jobs.history",
    "AuthError": "errors",
    "Backend": "backends.base",
    "BackendError": "errors",
    "Budget": "spec",
    "Capabilities": "backends.base",
    "CapacityError": "errors",
    "Check": "backends.base",
    "Checkpoint": "spec",
    "CloudWatch": "spec",
    "DataError": "errors",
    "Dataset": "spec",
    "Decision": "jobs.retrying",
    "Deployment": "models.deployment",
    "DeploymentInfo": "backends.base",
    "DeploymentPlan": "plan.deployment",
    "DeploymentState": "backends.base",
    "Deployments": "backends.base",
    "Estimate": "sizing.estimate",
    "Estimator": "estimator",
    "Evaluate": "spec",
    "Export": "spec",
    "Facts": "facts",
    "Freeze": "spec",
    "FtsdkError": "errors",
    "Full": "spec",
    "Generate": "spec",
    "Hyperparameters": "spec",
    "Job": "jobs.job",
    "JobFailedError": "errors",
    "JobInfo": "backends.base",
    "JobNotFoundError": "errors",
    "JobSpec": "spec",
    "JobState": "backends.base",
    "ListedJob": "jobs.listing",
    "LogLine": "storage.records",
    "WatchEvent": "jobs.resident",
    "Lora": "spec",
    "Merge": "spec",
    "Method": "spec",
    "Mlflow": "spec",
    "MetricRecord": "jobs.metrics",
    "MetricRecords": "jobs.metrics",
    "Model": "models.model",
    "NotInstalledError": "errors",
    "Oft": "spec",
    "ParameterRange": "studies.space",
    "Plan": "plan",
    "QLora": "spec",
    "QuotaError": "errors",
    "Reason": "contract",
    "Resources": "spec",
    "Retry": "spec",
    "Reward": "spec",
    "Serve": "spec",
    "Sharding": "spec",
    "Swanlab": "spec",
    "SpecError": "errors",
    "SpecFields": "spec.fields",
    "Status": "jobs.status",
    "Study": "studies.study",
    "StudyStatus": "studies.study",
    "Sweep": "studies.sweep",
    "SweepPlan": "studies.sweep",
    "Trial": "studies.trials",
    "SupportsDeployments": "backends.base",
    "SupportsDoctor": "backends.base",
    "SupportsImagePush": "backends.base",
    "SupportsNativeHandle": "backends.base",
    "SupportsOffers": "backends.base",
    "SupportsOnDemand": "backends.base",
    "SupportsSecretStore": "backends.base",
    "SupportsTerminal": "backends.base",
    "Tracking": "spec",
    "Trackio": "spec",
    "Tuning": "spec",
    "UnavailableError": "errors",
    "UnsupportedError": "errors",
    "Reproduction": "reports.reproducing",
    "Comparison": "reports.comparing",
    "compare": "reports.comparing",
    "WaitTimeoutError": "errors",
    "Wandb": "spec",
    "__version__": "contract.release",
    "list_jobs": "jobs.listing",
    "list_studies": "studies.study",
    "reproduce": "reports.reproducing",
}
"""Public name -> the module of ftsdk that defines it."""

__all__ = [
    "AttemptRecord",
    "AuthError",
    "Backend",
    "BackendError",
    "Budget",
    "Capabilities",
    "CapacityError",
    "Check",
    "Checkpoint",
    "CloudWatch",
    "Comparison",
    "DataError",
    "Dataset",
    "Decision",
    "Deployment",
    "DeploymentInfo",
    "DeploymentPlan",
    "DeploymentState",
    "Deployments",
    "Estimate",
    "Estimator",
    "Evaluate",
    "Export",
    "Facts",
    "Freeze",
    "FtsdkError",
    "Full",
    "Generate",
    "Hyperparameters",
    "Job",
    "JobFailedError",
    "JobInfo",
    "JobNotFoundError",
    "JobSpec",
    "JobState",
    "ListedJob",
    "LogLine",
    "Lora",
    "Merge",
    "Method",
    "MetricRecord",
    "MetricRecords",
    "Mlflow",
    "Model",
    "NotInstalledError",
    "Oft",
    "ParameterRange",
    "Pipeline",
    "PipelinePlan",
    "Plan",
    "Push",
    "PythonFile",
    "QLora",
    "QuotaError",
    "Reason",
    "Reproduction",
    "Resources",
    "Retry",
    "Reward",
    "Serve",
    "Sharding",
    "SpecError",
    "SpecFields",
    "Status",
    "Step",
    "Study",
    "StudyStatus",
    "SupportsDeployments",
    "SupportsDoctor",
    "SupportsImagePush",
    "SupportsNativeHandle",
    "SupportsOffers",
    "SupportsOnDemand",
    "SupportsSecretStore",
    "SupportsTerminal",
    "Swanlab",
    "Sweep",
    "SweepPlan",
    "Tracking",
    "Trackio",
    "Trial",
    "Tuning",
    "UnavailableError",
    "UnsupportedError",
    "WaitTimeoutError",
    "Wandb",
    "WatchEvent",
    "__version__",
    "compare",
    "list_jobs",
    "list_studies",
    "reproduce",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ftsdk' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"ftsdk.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
