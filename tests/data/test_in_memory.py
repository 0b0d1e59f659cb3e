"""Rows in memory become files, named after their content."""

import datetime
import json
from pathlib import Path

import pytest

from ftsdk import Estimator
from ftsdk.data.in_memory import as_files
from ftsdk.errors import DataError

ROWS = [{"instruction": f"a{n}", "output": f"é {n}"} for n in range(3)]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FTSDK_HOME", str(tmp_path / "home"))


def read(path):
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_a_list_of_rows_is_a_file_with_the_same_name_for_the_same_rows():
    path = as_files(ROWS)
    assert read(path) == ROWS
    assert as_files(tuple(ROWS)) == path != as_files(ROWS[:2])


def test_a_data_frame_is_a_file():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS).assign(day=pandas.Timestamp("2020-01-02"))
    assert [row | {"day": ""} for row in read(as_files(frame))] == [row | {"day": ""} for row in ROWS]
    assert read(as_files(frame))[0]["day"].startswith("2020-01-02")


@pytest.mark.trainer
def test_a_hugging_face_data_set_is_a_file():
    from datasets import Dataset

    assert read(as_files(Dataset.from_list(ROWS))) == ROWS


def test_both_sides_of_a_dataset_may_be_rows():
    spec = Estimator(model="org/name", dataset={"train": ROWS, "eval": ROWS[:1]}).spec
    assert [read(path) for path in (*spec.dataset.train, *spec.dataset.eval)] == [ROWS, ROWS[:1]]


@pytest.mark.parametrize("dataset", ["train.jsonl", ["a.jsonl", "b.jsonl"], {"train": "a.jsonl", "max_samples": 3}])
def test_names_of_files_are_left_alone(dataset):
    assert as_files(dataset) == dataset


def test_values_that_json_lacks_are_refused():
    with pytest.raises(DataError, match="cannot be written as JSON"):
        as_files([{"instruction": "a", "output": datetime.datetime(2020, 1, 1)}])
