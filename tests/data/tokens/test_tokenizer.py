"""Counting with a real tokenizer."""

import json

import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.statistics.stats import stats
from ftsdk.data.tokens.tokenizer import TOKENS_PER_TURN, token_counter

pytestmark = pytest.mark.trainer


@pytest.fixture
def model(tmp_path):
    """A folder with a tokenizer that makes one token of each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(4)
    (tmp_path / "model").mkdir()
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


def rows(tmp_path):
    path = tmp_path / "a.jsonl"
    sizes = [20] * 60
    sizes[10], sizes[20] = 100, 101
    made = (
        {"instruction": f"say {n}", "output": "la " * (size - 2 - 2 * TOKENS_PER_TURN)} for n, size in enumerate(sizes)
    )
    path.write_text("\n".join(map(json.dumps, made)))
    return path


def test_every_token_is_counted(model):
    counter = token_counter(model)
    assert counter.exact
    assert counter.count(["one two three four five", ""]) == [5, 0]


def test_a_row_is_too_long_from_the_first_token_over(tmp_path, model):
    report = check([rows(tmp_path)], CheckOptions(method="sft", cutoff_len=100, tokenizer=model))
    assert [(f.row, f.message) for f in report.of("too_long")] == [(21, "has 101 tokens, cutoff_len is 100")]
    assert "estimate" not in report.counts


def test_stats_say_with_what_they_were_counted(tmp_path, model):
    found = stats([rows(tmp_path)], tokenizer=model)
    assert found.percentiles[100] == 101
    assert str(model) in found.how_counted


def test_a_hub_id_in_the_local_cache(tmp_path, model, monkeypatch):
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (model / "tokenizer.json").rename(snapshot / "tokenizer.json")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert token_counter("org/name").exact
