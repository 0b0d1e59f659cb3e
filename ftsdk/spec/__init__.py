"""WHAT to train: the spec and its parts."""

from ftsdk.spec.dataset import Dataset, Format
from ftsdk.spec.hyperparameters import Hyperparameters
from ftsdk.spec.job import JobSpec, clean_label
from ftsdk.spec.method import Method, Stage
from ftsdk.spec.parts import Budget, Checkpoint, CloudWatch, Resources, Retry, Tracking, Wandb
from ftsdk.spec.rewards import Reward
from ftsdk.spec.sharding import Sharding
from ftsdk.spec.tuning import Freeze, Full, Lora, Oft, QLora, Tuning

__all__ = [
    "Budget",
    "Checkpoint",
    "CloudWatch",
    "Dataset",
    "Format",
    "Freeze",
    "Full",
    "Hyperparameters",
    "JobSpec",
    "Lora",
    "Method",
    "Oft",
    "QLora",
    "Resources",
    "Retry",
    "Reward",
    "Sharding",
    "Stage",
    "Tracking",
    "Tuning",
    "Wandb",
    "clean_label",
]
