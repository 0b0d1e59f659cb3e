"""What a preview shows is what the loss sees: batches are taken from real trainings."""

from __future__ import annotations

import json

import pytest

from ftsdk.backends import get
from ftsdk.facts import inspect
from ftsdk.runtime.programs.preview.findings import findings
from ftsdk.spec.loading import parse

pytestmark = pytest.mark.trainer

TOOLS = '[{"name": "river", "description": "red stone", "parameters": {"type": "object", "properties": {}}}]'
CALL = '{"name": "river", "arguments": {"fish": "red"}}'
CHAT = [
    {"from": "human", "value": "sun moon river?"},
    {"from": "gpt", "value": "<think>\nred fish\n</think>\n\nstone bird."},
    {"from": "human", "value": "one two?"},
    {"from": "gpt", "value": "three."},
]
SHAPES = {
    "alpaca": [
        {"instruction": f"sun {word}?", "input": "fish", "output": f"{word} runs.", "system": "green stone",
         "history": [["one?", "two."]]}
        for word in ("red", "green", "blue", "river")
    ],
    "sharegpt": [{"conversations": CHAT[: 2 * number], "system": "blue bird"} for number in (1, 2, 1, 2)],
    "tools": [
        {"conversations": [{"from": "human", "value": f"{word}?"}, {"from": "function_call", "value": CALL},
                           {"from": "observation", "value": "sun"}, {"from": "gpt", "value": f"{word}."}],
         "tools": TOOLS}
        for word in ("red", "green", "blue", "river")
    ],
    "openai": [
        {"messages": [{"role": "user", "content": f"{word}?"}, {"role": "assistant", "content": f"one {word}."}]}
        for word in ("red", "green", "blue", "river")
    ],
    "dpo": [{"instruction": f"sun {word}?", "chosen": f"{word} runs.", "rejected": "fish."}
            for word in ("red", "green", "blue", "river")],
    "kto": [{"instruction": f"sun {word}?", "output": f"{word} runs.", "kto_tag": word in ("red", "blue")}
            for word in ("red", "green", "blue", "river")],
    "text": [{"text": f"{word} sleeps over the stone."} for word in ("red", "green", "blue", "river")],
}  # fmt: skip
METHODS = {"dpo": "dpo", "kto": "kto", "text": "pt"}
TEMPLATES = (
    "alpaca", "chatml", "qwen", "qwen3", "qwen3_nothink", "default", "vicuna", "llama2", "mistral", "deepseek", "yi",
    "empty",
)  # fmt: skip


def job_of(tmp_path, tiny_folder, shape, **given):
    """The job that a plan makes of rows in a shape, as the trainer process reads it."""
    from ftsdk.runtime.programs.llamafactory import prepared

    (tmp_path / "rows.json").write_text(json.dumps(SHAPES[shape]))
    fields = {"model": str(tiny_folder / "model"), "dataset": str(tmp_path / "rows.json"), "method": METHODS.get(shape),
              "tuning": {"type": "lora", "rank": 4},
              "hyperparameters": {"max_steps": 2, "cutoff_len": 128, "per_device_train_batch_size": 2,
                                  "gradient_accumulation_steps": 1, **given}}  # fmt: skip
    spec = parse({name: value for name, value in fields.items() if value}, where="test")
    document = get("local", {}).plan(spec, inspect(spec)).document
    (tmp_path / "dataset_info.json").write_text(json.dumps(document["dataset_info"]))
    job = {"document": document, "attempt": 1, "output": str(tmp_path / "out"), "data": str(tmp_path),
           "run": str(tmp_path), "resume": None}  # fmt: skip
    return {**prepared(job), "overwrite_cache": True}


def sides_of(config):
    """(ids, labels) of all sides of all previewed rows."""
    from ftsdk.runtime.programs.preview.rows import Rows

    items = list(Rows({**config, "output_dir": f"{config['output_dir']}-preview"}).read(None, None))
    sides = []
    for side in (side for item in items for side in item["sides"]):
        ids = [number for segment in side["segments"] for number in segment["ids"]]
        labels = [number if s["learned"] else -100 for s in side["segments"] for number in s["ids"]]
        sides.append((ids, labels))
    return items, sides


def batches_of(config, monkeypatch):
    """(ids, labels) that the loss gets in a real training."""
    from llamafactory.train.tuner import run_exp
    from transformers import Trainer

    seen, step = [], Trainer.training_step

    def recorded(self, model, inputs, *args, **kwargs):
        for prefix in ("", "kl_"):
            if f"{prefix}input_ids" in inputs:
                pairs = zip(inputs[f"{prefix}input_ids"].tolist(), inputs[f"{prefix}labels"].tolist(), strict=True)
                seen.extend(pairs)
        return step(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", recorded)
    run_exp(dict(config))
    return seen


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ("sharegpt", {"template": "qwen3"}),
        ("tools", {"template": "qwen", "cutoff_len": 48}),
        ("alpaca", {"template": "vicuna", "neat_packing": True, "packing": True}),
        ("alpaca", {"template": "llama2", "mask_history": True}),
        ("dpo", {}),
        ("kto", {}),
        ("text", {"cutoff_len": 16}),
    ],
)
def test_labels_are_those_of_the_loss(tmp_path, tiny_folder, monkeypatch, shape, given):
    config = job_of(tmp_path, tiny_folder, shape, **given)
    batches = batches_of(config, monkeypatch)
    _, sides = sides_of(config)
    assert batches
    for ids, labels in batches:
        assert any(
            ids[: len(own)] == own and labels[: len(own)] == learned and set(labels[len(own) :]) <= {-100}
            for own, learned in sides
        ), (ids, labels)


@pytest.mark.long
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in METHODS])
def test_labels_are_those_of_the_data_set(tmp_path, tiny_folder, template, shape):
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    config = job_of(tmp_path, tiny_folder, shape, template=template)
    model_args, data_args, training_args, finetuning_args, _ = get_train_args(dict(config))
    loaded = load_tokenizer(model_args)
    used = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    rows = get_dataset(used, model_args, data_args, training_args, stage=finetuning_args.stage, **loaded)
    expected = [(row["input_ids"], row["labels"]) for row in rows["train_dataset"]]
    items, sides = sides_of(config)
    assert sides == expected
    kinds = {segment["kind"] for item in items for segment in item["sides"][0]["segments"]}
    assert {"prompt", "answer"} <= kinds
    assert ("tool" in kinds) == (shape == "tools")


def test_a_preview_has_kinds_of_tokens_cuts_and_findings(tmp_path, tiny_folder):
    items, _ = sides_of(job_of(tmp_path, tiny_folder, "sharegpt", template="qwen3"))
    texts = {}
    for segment in items[1]["sides"][0]["segments"]:
        texts.setdefault(segment["kind"], []).append("".join(segment["tokens"]))
    assert "blue bird" in texts["system"][0]
    assert "red fish" in texts["thought"][0]
    assert any("three." in text for text in texts["answer"])
    cut, _ = sides_of(job_of(tmp_path, tiny_folder, "sharegpt", template="qwen3", cutoff_len=16))
    assert all(item["sides"][0]["num_cut"] > 0 for item in cut)
    assert findings(cut, None, {2}) == ["4 rows have tokens that cutoff_len cuts off (first: row 1)."]
    asked, _ = sides_of(job_of(tmp_path, tiny_folder, "openai", template="qwen", train_on_prompt=True))
    assert findings(asked, None, {2}) == [
        "4 rows have a prompt that is learned as well (train_on_prompt) (first: row 1).",
        "4 rows have a system prompt that nobody wrote (first: row 1).",
    ]


def test_packed_rows_say_whether_they_see_each_other(tmp_path, tiny_folder):
    for neat, crosses in ((True, False), (False, True)):
        config = job_of(tmp_path, tiny_folder, "openai", packing=True, neat_packing=neat)
        items, _ = sides_of(config)
        assert [sorted(item["rows"]) for item in items] == [[1, 2, 3, 4]]
        assert items[0]["sides"][0]["attention_crosses"] is crosses
        assert items[0]["sides"][0]["segments"][-1]["kind"] == "padding"
