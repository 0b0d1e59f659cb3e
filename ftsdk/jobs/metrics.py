"""Metric records: what the trainer reported at each step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from ftsdk import contract
from ftsdk.contract.lines import NOT_FINITE, TrainerMetrics
from ftsdk.errors import NotInstalledError

if TYPE_CHECKING:
    from pandas import DataFrame

MetricRecord = TypedDict(
    "MetricRecord",
    {
        "step": int,
        "total_steps": NotRequired[int],
        "epoch": NotRequired[float],
        "time": float,
        "loss": NotRequired[float],
        "eval_loss": NotRequired[float],
        "train_loss": NotRequired[float],
        "rewards/margins": NotRequired[float],
        "rewards/accuracies": NotRequired[float],
        "grad_norm": NotRequired[float],
        "learning_rate": NotRequired[float],
        "tokens_per_s": NotRequired[float],
        "eta_s": NotRequired[float],
        "gpu_memory_gib": NotRequired[float],
        "reward": NotRequired[float],
        "eval_reward": NotRequired[float],
        "reward_std": NotRequired[float],
        "kl": NotRequired[float],
        "entropy": NotRequired[float],
        "completion_length": NotRequired[float],
        "eval_accuracy": NotRequired[float],
        "eval_rewards/margins": NotRequired[float],
        "eval_rewards/accuracies": NotRequired[float],
        "eval_rouge-1": NotRequired[float],
        "eval_rouge-2": NotRequired[float],
        "eval_rouge-l": NotRequired[float],
        "eval_bleu-4": NotRequired[float],
    },
)
"""One report of the trainer: `step`, `time` (seconds since the epoch) and whatever of the others it measured.

A value that is not finite is `nan` or `inf`. A training script of your own may report further names.
"""


class MetricRecords(list[MetricRecord]):
    """Metric records in the order of their steps."""

    def to_pandas(self) -> DataFrame:
        """A `pandas.DataFrame`, one row a record. Raises NotInstalledError without pandas."""
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise NotInstalledError("to_pandas() needs pandas: pip install pandas.") from None
        return pandas.DataFrame(self)

    def to_json(self) -> list[dict[str, object]]:
        """JSON data, in which a value that is not finite is text: "nan" or "inf"."""
        return [{name: _as_json(value) for name, value in record.items()} for record in self]


def from_reports(reports: Iterable[TrainerMetrics]) -> MetricRecords:
    """The metric records among a job's reports; of a step that was repeated after a restart, the last one counts."""
    merged: dict[tuple[int, str], dict[str, object]] = {}
    for report in reports:
        key = int(report["step"]), contract.metrics_kind(report)
        merged[key] = {name: _as_number(name, value) for name, value in report.items()}
    return MetricRecords(cast(MetricRecord, merged[key]) for key in sorted(merged, key=lambda key: key[0]))


def _as_number(name: str, value: object) -> object:
    return float(value) if name in contract.METRIC_FIELDS and isinstance(value, str) and value in NOT_FINITE else value


def _as_json(value: object) -> object:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
