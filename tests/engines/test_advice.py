"""Unusual but allowed values give a warning with its reason; sensible values give none."""

import json

import pytest

from ftsdk.backends import get
from ftsdk.engines.advice import epochs_for
from ftsdk.errors import SpecError
from ftsdk.facts import inspect
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny

PAIRS = '{"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "Seven."}\n'


@pytest.fixture
def warned(spec_folder):
    (spec_folder / "pairs.jsonl").write_text(PAIRS * 20)

    def plan(**fields):
        spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
        return get("local", {}).plan(spec, inspect(spec, folder=spec_folder)).warnings

    return plan


def tokenizer(folder, *, special=("<|im_start|>", "<|im_end|>"), chat_template=""):
    """A tokenizer's files with one word and some special tokens."""
    added = [{"id": number, "content": text, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False} for number, text in enumerate(special, 1)]  # fmt: skip
    data = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"word": 0, **{t: n for n, t in enumerate(special, 1)}},
                  "unk_token": "word"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(data))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": chat_template}))


def test_sensible_values_give_no_warning(warned):
    assert warned(tuning={"type": "lora", "rank": 16, "alpha": 32}) == ()
    assert warned(method={"stage": "dpo", "beta": 0.1}, dataset="pairs.jsonl") == ()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tuning": {"rank": 64, "alpha": 16}}, "alpha 16 is outside 32–128"),
        ({"method": {"stage": "dpo", "beta": 0.9}, "dataset": "pairs.jsonl"}, "0.9 is outside 0.1–0.5: the model hard"),
        ({"method": {"stage": "dpo", "beta": 0.01}, "dataset": "pairs.jsonl"}, "drift far"),
        ({"num_train_epochs": 50}, "50 is much for 5 rows"),
        ({"num_train_epochs": "auto"}, "auto is 15 for 5 rows, by a rule of thumb"),
        ({"hyperparameters": {"push_to_hub": True}}, "name HF_TOKEN in `secrets`"),
        ({"hyperparameters": {"flash_attn": "fa2"}}, "uses another attention"),
        ({"tuning": "full", "hyperparameters": {"use_galore": True}}, "use_galore needs galore_torch"),
        ({"hyperparameters": {"trust_remote_code": True}}, "trust_remote_code: Python code in the repository of"),
        ({"cutoff_len": 8}, "cutoff_len 8 is too short for train: at least 5 of the 5 rows lose tokens"),
    ],
)
def test_unusual_values_give_a_warning(warned, fields, says):
    assert [sentence for sentence in warned(**fields) if says in sentence]


@pytest.mark.parametrize(("rows", "epochs"), [(1, 15), (100, 15), (1_000, 10), (10_000, 2), (1_000_000, 2)])
def test_epochs_by_the_number_of_rows(rows, epochs):
    assert epochs_for(rows) == epochs


def test_epochs_never_rise_with_the_number_of_rows():
    found = [epochs_for(rows) for rows in range(50, 12_000, 50)]
    assert found == sorted(found, reverse=True)


def test_a_template_that_does_not_fit_the_tokenizer(warned, spec_folder):
    tokenizer(spec_folder / "model")
    (said,) = warned(template="llama3")
    assert "has no <|end_header_id|>, <|eot_id|>, <|start_header_id|>" in said
    assert warned(template="qwen3") == ()


def test_an_injected_system_prompt(warned, spec_folder):
    tokenizer(spec_folder / "model")
    (said,) = warned(template="qwen")
    assert "You are Qwen, created by Alibaba Cloud" in said
    assert warned(hyperparameters={"template": "qwen", "default_system": ""}) == ()
    told = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    tokenizer(spec_folder / "model", chat_template="{{ '" + told + "' }}")
    (said,) = warned(template="qwen")
    assert "the model's own template writes" in said


def test_a_base_model_without_a_chat_template(warned, spec_folder):
    tokenizer(spec_folder / "model")
    assert "has no chat template" in warned()[0]
    tokenizer(spec_folder / "model", chat_template=tiny.CHAT)
    assert warned() == ()


def test_a_template_that_is_not_there_is_refused_at_once(warned):
    with pytest.raises(SpecError, match=r"no such template \(did you mean 'qwen3'\?\)"):
        warned(template="qwen33")
