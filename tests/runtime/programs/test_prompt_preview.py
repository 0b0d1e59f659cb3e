"""A preview of a training by reinforcement shows its prompts, with the ids that the trainer samples from."""

import json

import pytest

from ftsdk.runtime.programs.preview.program import _of_prompts

pytestmark = pytest.mark.trainer

ROWS = [
    {"prompt": "How far is stone 1?", "answer": "7"},
    {"prompt": [{"role": "system", "content": "red"}, {"role": "user", "content": "How far?"}], "answer": "8"},
]


@pytest.fixture
def document(tmp_path, tiny_folder):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    columns = {"prompt": "prompt", "answer": "answer"}
    config = {"model_name_or_path": str(tiny_folder / "model"), "dataset": ["rows"], "eval_dataset": []}
    info = {"rows": {"file_name": str(tmp_path / "rows.jsonl"), "columns": columns}}
    return {"config": {**config, "arguments": {"seed": 1}}, "dataset_info": info}


def test_prompts_are_what_the_model_continues(document, tiny_folder, tmp_path, monkeypatch):
    from datasets import config
    from transformers import AutoTokenizer

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    made = _of_prompts(document, {"first": None, "only": None})
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder / "model")
    turns = [[{"role": "user", "content": "How far is stone 1?"}], ROWS[1]["prompt"]]
    for item, messages in zip(made["rows"], turns, strict=True):
        (segment,) = item["sides"][0]["segments"]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert segment["ids"] == tokenizer(text, add_special_tokens=False)["input_ids"]
        assert not segment["learned"] and set(segment["labels"]) == {-100}
    assert made["num_rows"] == 2 and made["findings"] == []


def test_one_row_can_be_shown(document, tmp_path, monkeypatch):
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert [item["rows"] for item in _of_prompts(document, {"first": None, "only": 2})["rows"]] == [[2]]
