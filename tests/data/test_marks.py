"""Weights and thoughts of messages, weights of rows, and names that nothing uses: carried, refused or named."""

import json

import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.convert import convert
from ftsdk.errors import DataError


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def chat(number=0, *, asks=None, **marks):
    answers = [{"role": "assistant", "content": f"no {number}", **marks}, {"role": "assistant", "content": "yes"}]
    prompts = [{"role": "user", "content": f"first {number}", **(asks or {})}, {"role": "user", "content": "second"}]
    return {"messages": [turn for pair in zip(prompts, answers, strict=True) for turn in pair]}


def found(path, method="sft"):
    report = check([path], CheckOptions(method=method, heuristics=False))
    return {(finding.code, finding.row) for finding in report.findings if finding.code != "too_few_rows"}


@pytest.mark.parametrize("mark", [{"weight": 0}, {"weight": 1}, {"loss": False}, {"train": True}, {"weight": None}])
def test_a_weight_of_an_answer_is_right(tmp_path, mark):
    assert found(written(tmp_path / "a.jsonl", [chat(n, **mark) for n in range(5)])) == set()


@pytest.mark.parametrize(
    "row",
    [chat(1, weight=0.5), chat(1, weight="yes"), chat(1, asks={"weight": 1}), chat(1, loss="no"),
     chat(1, asks={"train": True})],
)  # fmt: skip
def test_a_weight_that_is_neither_yes_nor_no_is_named_by_row_and_message(tmp_path, row):
    path = written(tmp_path / "a.jsonl", [chat(0), row])
    assert found(path) == {("bad_weight", 2)}
    message = check([path], CheckOptions(method="sft", heuristics=False)).of("bad_weight")[0].message
    assert message.startswith(("message 1 of 'messages'", "message 2 of 'messages'"))


def test_a_row_of_which_nothing_is_learned_is_an_error(tmp_path):
    row = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "5", "weight": 0}]}
    assert found(written(tmp_path / "a.jsonl", [chat(0), row])) == {("nothing_learned", 2)}


def test_a_weight_of_a_row_is_refused_unless_it_is_one(tmp_path):
    rows = [{"instruction": f"a{n}", "output": f"b{n}", "weight": weight} for n, weight in enumerate((1, 0.5, 1.0, 0))]
    assert found(written(tmp_path / "a.jsonl", rows)) == {("row_weight", 2), ("row_weight", 4)}
    assert found(written(tmp_path / "b.jsonl", [*rows[::2], *({**r, "weight": "heavy"} for r in rows[1::2])])) == set()


def test_a_row_weight_behind_the_sample_is_reported(tmp_path):
    rows = [{"instruction": f"a{n}", "output": f"b{n}"} for n in range(300)]
    assert found(written(tmp_path / "a.jsonl", [*rows, {**rows[0], "output": "c", "weight": 2}])) == {
        ("row_weight", 301)
    }


def test_unused_columns_and_fields_are_named_with_their_counts(tmp_path):
    rows = [{**chat(n, name="x"), "id": n} for n in range(300)] + [{**chat(n), "note": ""} for n in range(300, 303)]
    report = check([written(tmp_path / "a.jsonl", rows)], CheckOptions(method="sft", heuristics=False))
    assert sorted(finding.message for finding in report.of("unused_field")) == [
        "the training does not use column 'id' (300 rows)",
        "the training does not use column 'note' (3 rows)",
        "the training does not use field 'name' in 'messages' (300 messages)",
    ]
    assert report.verdict == "pass"


def test_a_column_name_with_spaces_is_read_and_reported(tmp_path):
    rows = [{"instruction": f"a{n}", "input ": "more", "output": "b"} for n in range(3)]
    report = check([written(tmp_path / "a.jsonl", rows)], CheckOptions(method="sft", heuristics=False))
    assert report.files[0].columns["query"] == "input "
    assert [finding.message for finding in report.of("odd_name")] == ["the column 'input ' is read as 'input'"]


@pytest.mark.parametrize("to", ["openai", "sharegpt"])
def test_a_conversion_keeps_weights_and_thoughts(tmp_path, to):
    path = written(tmp_path / "a.jsonl", [chat(0, weight=0, thinking="hm")])
    convert([path], tmp_path / "b.jsonl", to=to)
    (turns,) = json.loads((tmp_path / "b.jsonl").read_text()).values()
    assert [turn.get("weight") for turn in turns] == [None, 0, None, None]
    assert [turn.get("reasoning_content") for turn in turns] == [None, "hm", None, None]


@pytest.mark.parametrize("mark", [{"weight": 0}, {"thinking": "hm"}])
def test_a_form_without_room_for_them_is_refused(tmp_path, mark):
    path = written(tmp_path / "a.jsonl", [chat(0, **mark)])
    with pytest.raises(DataError, match="only a chat can hold"):
        convert([path], tmp_path / "b.jsonl", to="alpaca")


SIDES = {side: [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": side}] for side in ("good", "bad")}


@pytest.mark.parametrize(
    "more",
    [{"prompt": "Hi", "messages": SIDES["good"]}, {"prompt": "Hi"}, {}, {"messages": SIDES["good"]},
     {"prompt": [{"role": "user", "content": "Hi"}]}],
)  # fmt: skip
def test_pairs_of_whole_conversations_are_read(tmp_path, more):
    path = written(tmp_path / "a.jsonl", [{**more, "chosen": SIDES["good"], "rejected": SIDES["bad"]}])
    assert found(path, "dpo") <= {("unused_field", None)}
    convert([path], tmp_path / "b.jsonl", to="preference")
    assert json.loads((tmp_path / "b.jsonl").read_text()) == {
        "conversations": [{"from": "human", "value": "Hi"}],
        "chosen": {"from": "gpt", "value": "good"},
        "rejected": {"from": "gpt", "value": "bad"},
    }
