"""Data in a bucket, over a real S3 server: fetched once, looked at like any other."""

from __future__ import annotations

import json

import pytest

from ftsdk.data.remote import fetch
from ftsdk.errors import SpecError
from ftsdk.storage.store import open_store
from tests.cli.test_cli import ftsdk

GOOD = '{"instruction": "Say one", "output": "one"}\n'
BAD = '{"instruction": "Say two"}\n'


@pytest.fixture
def bucket(s3):
    store = open_store(s3.address)
    store.put("a.jsonl", (GOOD + BAD).encode())
    store.put("b.jsonl", GOOD.encode())
    store.put("notes.txt", b"nothing to learn")
    store.put("deeper/c.jsonl", GOOD.encode())
    return s3


def names(paths):
    return [path.name for path in paths]


def test_a_file_a_folder_and_a_pattern(bucket):
    assert names(fetch(f"{bucket.address}/b.jsonl")) == ["b.jsonl"]
    assert names(fetch(f"{bucket.address}/*.jsonl")) == ["a.jsonl", "b.jsonl"]
    assert names(fetch(f"{bucket.address}/")) == ["a.jsonl", "b.jsonl", "notes.txt"]
    with pytest.raises(SpecError, match="there is no such file"):
        fetch(f"{bucket.address}/c.jsonl")


def test_a_file_is_fetched_once_and_again_when_it_has_changed(bucket):
    address = f"{bucket.address}/b.jsonl"
    first = fetch(address)[0]
    bucket.requests.clear()
    assert fetch(address) == [first]
    assert not [path for method, path, _ in bucket.requests if method == "GET" and path.endswith("b.jsonl")]
    open_store(bucket.address).put("b.jsonl", (GOOD + GOOD).encode())
    assert fetch(address)[0].read_text() == GOOD + GOOD


def test_the_check_names_the_row_of_a_file_in_a_bucket(bucket):
    done = ftsdk("data", "check", f"{bucket.address}/a.jsonl", "--json")
    found = json.loads(done.stdout)["findings"]
    assert [(f["code"], f["row"]) for f in found if f["severity"] == "error"] == [("missing_field", 2)]


def test_the_check_of_a_spec_whose_data_is_in_a_bucket(bucket, spec_folder):
    job = spec_folder / "job.yaml"
    job.write_text(f"model: ./model\ndataset: {bucket.address}/a.jsonl\n")
    done = ftsdk("data", "check", str(job), "--json")
    assert json.loads(done.stdout)["counts"]["missing_field"] == 1
