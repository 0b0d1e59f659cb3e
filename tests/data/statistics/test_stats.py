"""Lengths and what follows from them, against figures computed manually."""

import json
import random

import pytest

from ftsdk.data.statistics.stats import pack, padding_waste, percentile, stats, suggest_cutoff
from ftsdk.data.tokens.tokenizer import estimate, token_counter
from ftsdk.errors import DataError
from tests.data.planting import clean_rows


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_percentiles_are_nearest_ranks():
    assert [percentile(list(range(1, 101)), p) for p in (5, 50, 99, 100)] == [5, 50, 99, 100]
    assert percentile([7], 5) == 7


def test_suggested_cutoff():
    assert suggest_cutoff(list(range(1, 1001))) == 1024
    assert suggest_cutoff([100] * 999 + [5000]) == 128


def test_padding_goes_to_the_longest_of_a_batch_rounded_to_eight():
    assert padding_waste([8, 16, 3, 5], 2) == 1 - 32 / (32 + 16)
    assert padding_waste([8, 8], 1) == 0


def test_packs_take_the_largest_that_fits():
    assert pack([5, 4, 3, 3], 8) == [8, 7]
    assert sum(pack([random.Random(1).randint(1, 90) for _ in range(100)], 100)) == 100 * random.Random(1).randint(
        1, 90
    )


def test_estimate_of_letters_and_ideographs():
    assert estimate("a" * 400) == 100
    assert estimate("中" * 100) == 75


def test_stats_of_equal_rows(tmp_path):
    rows = [{"instruction": "a" * 200, "output": "b" * 180 + f"{n:04}" * 5} for n in range(100)]
    found = stats([write(tmp_path / "a.jsonl", rows)], batch_size=4, steps_batch_size=16, cutoff_len=256)
    assert found.num_rows == found.num_measured == 100
    assert found.percentiles[50] == found.percentiles[100] == 110  # 400 characters and two marks of five tokens
    assert found.suggested_cutoff_len == 128
    assert found.share_cut == 0
    assert found.epoch_tokens == 11_000
    assert found.epoch_steps == 7
    assert found.packed_epoch_steps == 4  # two rows a pack
    assert found.padding_waste == pytest.approx(1 - 110 / 112)
    assert found.packing_waste == pytest.approx(1 - 220 / 256)
    assert "estimated" in found.how_counted
    assert sum(count for _, count in found.histogram) == 100


def test_cut_rows_are_counted(tmp_path):
    rows = clean_rows("openai", 50, 0)
    rows[0]["messages"][-1]["content"] = "word " * 4000
    found = stats([write(tmp_path / "a.jsonl", rows)], cutoff_len=500)
    assert found.share_cut == 0.02
    assert found.epoch_tokens <= 50 * 500


def test_pairs_count_their_longer_side(tmp_path):
    row = {"prompt": "a" * 40, "chosen": "b" * 40, "rejected": "c" * 400}
    assert stats([write(tmp_path / "a.jsonl", [row])]).percentiles[100] == 120


def test_a_missing_tokenizer_is_reported(tmp_path):
    assert "not on this machine" in token_counter("nobody/nothing").how
    (tmp_path / "model").mkdir()
    with pytest.raises(DataError, match=r"has no tokenizer\.json"):
        token_counter(tmp_path / "model")


def test_statistics_of_no_rows_raise_data_error(tmp_path):
    with pytest.raises(DataError):
        stats([write(tmp_path / "a.jsonl", ["x"])])
