"""An entry of dataset_info.json is read back as what it was written for."""

import json

import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.formats.dataset_info import dataset_info_entry, from_entry
from ftsdk.data.formats.files import DataFile
from ftsdk.data.formats.summary import describe_file
from tests.data.planting import CLEAN, clean_rows, dumped

LOADED_AS_THEY_ARE = [name for name in CLEAN if name not in ("openai_tools", "pair_lists", "prompts")]


@pytest.mark.parametrize("shape", LOADED_AS_THEY_ARE)
def test_an_entry_read_back_has_the_same_columns(tmp_path, shape):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(dumped(row) for row in clean_rows(shape, 120, 0)))
    method = CLEAN[shape][0]
    seen = describe_file(path, method=method).detected
    made = from_entry(dataset_info_entry(seen.format, seen.columns, seen.tags, path.name), path)
    assert made.columns == seen.columns
    assert made.format == ("sharegpt" if seen.format == "openai" else seen.format)
    assert check([made], CheckOptions(method=method, heuristics=False)).verdict == "pass"


def test_an_entry_without_columns_means_the_trainers_defaults():
    assert from_entry({"file_name": "a.json"}, "a.json").columns == {
        "prompt": "instruction", "query": "input", "response": "output",
    }  # fmt: skip
    chat = from_entry({"file_name": "a.json", "formatting": "sharegpt"}, "a.json")
    assert (chat.format, chat.columns, chat.tags["user_tag"]) == ("sharegpt", {"messages": "conversations"}, "human")


def test_files_of_several_shapes_are_checked_together(tmp_path):
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_text("\n".join(json.dumps({"q": f"Question {n}?", "a": f"Answer {n}."}) for n in range(60)))
    other.write_bytes(b"\n".join(dumped(row) for row in clean_rows("openai", 60, 0)))
    report = check(
        [DataFile(path=one, format="alpaca", columns={"prompt": "q", "response": "a"}), other],
        CheckOptions(method="sft"),
    )
    assert [file.format for file in report.files] == ["alpaca", "openai"]
    assert report.num_rows == 120
    assert not {finding.severity for finding in report.findings} & {"error"}
