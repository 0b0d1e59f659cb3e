"""Describe an LLM fine-tuning once, run it anywhere, survive anything, get the model back.

    from ftsdk import Estimator, Lora

    job = Estimator(model="Qwen/Qwen3-8B", dataset="train.jsonl", tuning=Lora(rank=16), backend="docker").fit()
    print(job.model().uri)

Names are imported when they are first used, so that `import ftsdk` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftsdk.backends.base import JobInfo as JobInfo
    from ftsdk.backends.base import JobState as JobState
    from ftsdk.contract.release import __version__ as __version__
    from ftsdk.errors import FtsdkError as FtsdkError
    from ftsdk.estimator import Estimator as Estimator
    from ftsdk.jobs.job import Job as Job
    from ftsdk.models.model import Model as Model
    from ftsdk.plan import Plan as Plan
    from ftsdk.spec import Budget as Budget
    from ftsdk.spec import Checkpoint as Checkpoint
    from ftsdk.spec import CloudWatch as CloudWatch
    from ftsdk.spec import Dataset as Dataset
    from ftsdk.spec import Freeze as Freeze
    from ftsdk.spec import Full as Full
    from ftsdk.spec import Hyperparameters as Hyperparameters
    from ftsdk.spec import JobSpec as JobSpec
    from ftsdk.spec import Lora as Lora
    from ftsdk.spec import Method as Method
    from ftsdk.spec import Oft as Oft
    from ftsdk.spec import QLora as QLora
    from ftsdk.spec import Resources as Resources
    from ftsdk.spec import Retry as Retry
    from ftsdk.spec import Sharding as Sharding
    from ftsdk.spec import Tracking as Tracking
    from ftsdk.spec import Wandb as Wandb

_HOMES = {
    "Budget": "spec",
    "Checkpoint": "spec",
    "CloudWatch": "spec",
    "Dataset": "spec",
    "Estimator": "estimator",
    "Freeze": "spec",
    "FtsdkError": "errors",
    "Full": "spec",
    "Hyperparameters": "spec",
    "Job": "jobs.job",
    "JobInfo": "backends.base",
    "JobSpec": "spec",
    "JobState": "backends.base",
    "Lora": "spec",
    "Method": "spec",
    "Model": "models.model",
    "Oft": "spec",
    "Plan": "plan",
    "QLora": "spec",
    "Resources": "spec",
    "Retry": "spec",
    "Sharding": "spec",
    "Tracking": "spec",
    "Wandb": "spec",
    "__version__": "contract.release",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ftsdk' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"ftsdk.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
