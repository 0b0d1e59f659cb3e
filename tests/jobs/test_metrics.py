"""Metric records from what the trainer reported."""

import json
import math

import pytest

from ftsdk import Reason, contract
from ftsdk.jobs import metrics
from ftsdk.jobs.metrics import MetricRecord

REPORTS = [
    {"step": 1, "time": 1.0, "loss": 3.0},
    {"step": 2, "time": 2.0, "loss": 2.0},
    {"step": 2, "time": 2.5, "eval_loss": 2.2},
    {"step": 2, "time": 4.0, "loss": 1.9},
    {"step": 3, "time": 5.0, "loss": "nan", "note": "nan"},
]


def test_a_repeated_step_counts_once_and_the_order_is_that_of_the_steps():
    records = metrics.from_reports(REPORTS)
    assert [(r["step"], r.get("loss"), r.get("eval_loss")) for r in records[:3]] == [
        (1, 3.0, None),
        (2, 1.9, None),
        (2, None, 2.2),
    ]


def test_a_nonfinite_metric_is_a_float_in_python_and_text_in_json():
    records = metrics.from_reports(REPORTS)
    assert math.isnan(records[-1]["loss"])
    assert records[-1]["note"] == "nan"  # a script's own field stays what it is
    assert json.loads(json.dumps(records.to_json(), allow_nan=False))[-1]["loss"] == "nan"


def test_a_data_frame_has_a_row_for_each_record():
    pytest.importorskip("pandas")
    frame = metrics.from_reports(REPORTS).to_pandas()
    assert list(frame["step"]) == [1, 2, 2, 3]
    assert frame["loss"].min() == 1.9


def test_the_record_has_every_field_of_the_contract():
    assert set(contract.METRIC_FIELDS) | {"step", "time", "total_steps", "epoch"} == set(MetricRecord.__annotations__)


def test_a_reason_of_a_newer_release_is_an_error_and_none_is_false():
    assert Reason.parse("of_tomorrow") is Reason.ERROR
    assert Reason.parse("oom") is Reason.OOM
    assert not Reason.parse("")
