"""WHAT to train: the spec and its parts.

More than fifteen files: one for each part of a spec, and those that read and describe it.
"""

from ftsdk.spec.dataset import Dataset, Format
from ftsdk.spec.hyperparameters import Hyperparameters
from ftsdk.spec.job import JobSpec, clean_label
from ftsdk.spec.method import Method, Stage
from ftsdk.spec.parts import (
    Budget,
    Checkpoint,
    CloudWatch,
    Mlflow,
    Resources,
    Retry,
    Swanlab,
    Tracking,
    Trackio,
    Wandb,
)
from ftsdk.spec.program import Evaluate, Export, Generate, Merge, Program, PythonFile, Serve, Train
from ftsdk.spec.rewards import Reward
from ftsdk.spec.sharding import Sharding
from ftsdk.spec.tuning import Freeze, Full, Lora, Oft, QLora, Tuning

__all__ = [
    "Budget",
    "Checkpoint",
    "CloudWatch",
    "Dataset",
    "Evaluate",
    "Export",
    "Format",
    "Freeze",
    "Full",
    "Generate",
    "Hyperparameters",
    "JobSpec",
    "Lora",
    "Merge",
    "Method",
    "Mlflow",
    "Oft",
    "Program",
    "PythonFile",
    "QLora",
    "Resources",
    "Retry",
    "Reward",
    "Serve",
    "Sharding",
    "Stage",
    "Swanlab",
    "Tracking",
    "Trackio",
    "Train",
    "Tuning",
    "Wandb",
    "clean_label",
]
