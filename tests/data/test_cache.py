"""Lengths and checks by content: looked at once, and again when anything changes."""

from __future__ import annotations

import json

from ftsdk.data import cache as data_cache
from ftsdk.data.cache import HashedFile, check_summary, lengths
from ftsdk.data.formats.files import DataFile
from ftsdk.storage import cache
from ftsdk.storage.fingerprints import of


def file_of(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return HashedFile(DataFile(path=path), of(path).sha256)


ROWS = [{"instruction": f"Say {n}", "output": "word " * n} for n in range(1, 101)]


def measure(file, **changes):
    return lengths([file], **{"method": "sft", "tokenizer": None, "cutoff_len": 64, "batch_size": 1, **changes})


def test_lengths_of_all_rows(tmp_path):
    found = measure(file_of(tmp_path / "a.jsonl", ROWS))
    assert found.num_rows == 100
    assert 0 < found.rows_cut < 100
    assert found.max_tokens > found.mean_tokens
    assert "estimated" in found.how_counted


def test_a_result_is_cached_by_content_and_arguments(tmp_path):
    file = file_of(tmp_path / "a.jsonl", ROWS)
    first = measure(file)
    (tmp_path / "a.jsonl").unlink()
    assert measure(file) == first
    assert measure(file, cutoff_len=128) is None


def test_a_cache_that_cannot_be_written_is_skipped(tmp_path, monkeypatch):
    blocked = tmp_path / "home"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("FTSDK_HOME", str(blocked))
    assert cache.cached("key", lambda: 7) == 7


def test_a_check_in_short_names_rows(tmp_path):
    rows = [*ROWS[:3], {"instruction": "no answer"}, *ROWS[3:]]
    found = check_summary([file_of(tmp_path / "a.jsonl", rows)], [], method="sft")
    assert found.verdict == "fail"
    assert found.counts["missing_field"] == 1
    assert "a.jsonl, line 4" in found.first[0]
    assert len(found.first) <= data_cache.EXAMPLES


def test_leakage_is_looked_for_between_the_sides(tmp_path):
    train, held_out = file_of(tmp_path / "a.jsonl", ROWS), file_of(tmp_path / "b.jsonl", ROWS[:5])
    assert check_summary([train], [held_out], method="sft").counts["leakage"] == 5
    assert "leakage" not in check_summary([train, held_out], [], method="sft").counts
