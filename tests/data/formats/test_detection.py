"""Formats are detected from their columns, and the entry for LLaMA-Factory fits."""

import pytest

from ftsdk.data.formats.catalog import FORMATS
from ftsdk.data.formats.dataset_info import dataset_info_entry
from ftsdk.data.formats.detection import detect
from ftsdk.errors import DataError
from ftsdk.spec.dataset import FORMATS as SPEC_FORMATS

USER = {"role": "user", "content": "x"}
ASSISTANT = {"role": "assistant", "content": "y"}
HUMAN = {"from": "human", "value": "x"}
GPT = {"from": "gpt", "value": "y"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}

CASES = [
    ({"instruction": "a", "input": "", "output": "b"}, None, "alpaca", {"prompt": "instruction", "query": "input"}),
    ({"question": "a", "answer": "b"}, "sft", "alpaca", {"prompt": "question", "response": "answer"}),
    ({"question": "a", "answer": "b"}, "grpo", "prompts", {"prompt": "question", "answer": "answer"}),
    ({"prompt": "a", "completion": "b"}, None, "alpaca", {"prompt": "prompt", "response": "completion"}),
    ({"Question": "a", "Answer": "b"}, None, "alpaca", {"prompt": "Question", "response": "Answer"}),
    ({"input": "a", "output": "b"}, None, "alpaca", {"prompt": "input", "response": "output"}),
    ({"instruction": "a", "context": "c", "response": "b"}, None, "alpaca", {"query": "context"}),
    ({"question": "a", "answer": "b", "label": "cat"}, None, "alpaca", {"prompt": "question"}),
    ({"conversations": [HUMAN, GPT]}, None, "sharegpt", {"messages": "conversations"}),
    ({"messages": [USER, ASSISTANT]}, None, "openai", {"messages": "messages"}),
    ({"messages": [USER]}, "ppo", "prompts", {"messages": "messages"}),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, None, "preference", {"prompt": "prompt", "chosen": "chosen"}),
    ({"conversations": [HUMAN], "chosen": GPT, "rejected": GPT}, None, "preference", {"messages": "conversations"}),
    ({"input": "a", "preferred_output": "b", "non_preferred_output": "c"}, "dpo", "preference",
     {"prompt": "input", "chosen": "preferred_output", "rejected": "non_preferred_output"}),
    ({"chosen": [USER, ASSISTANT], "rejected": [USER, ASSISTANT]}, None, "preference", {"chosen": "chosen"}),
    ({"prompt": "a", "completion": "b", "label": True}, None, "kto", {"kto_tag": "label", "response": "completion"}),
    ({"messages": [USER, ASSISTANT], "label": False}, None, "kto", {"messages": "messages", "kto_tag": "label"}),
    ({"text": "a"}, None, "text", {"prompt": "text"}),
    ({"text": "a", "prompt": "b"}, "pt", "text", {"prompt": "text"}),
    ({"prompt": "a"}, None, "prompts", {"prompt": "prompt"}),
    ({"problem": "a", "solution": "b"}, "rloo", "prompts", {"prompt": "problem", "answer": "solution"}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "method", "name", "columns"), CASES)
def test_detects(row, method, name, columns):
    found = detect(list(row), [row], method=method)
    assert found.format == name
    assert columns.items() <= found.columns.items()
    assert name in found.why
    assert set(found.columns.values()) <= set(row)


def test_spec_and_data_know_the_same_formats():
    assert set(FORMATS) == set(SPEC_FORMATS)


def test_unknown_columns_are_never_guessed():
    with pytest.raises(DataError, match=r"foo, bar.*dataset\.format"):
        detect(["foo", "bar"], [{"foo": "a", "bar": "b"}])


def test_given_format_and_columns_override_detection():
    row = {"foo": "a", "bar": "b", "instruction": "c", "output": "d"}
    found = detect(list(row), [row], format="alpaca", given_columns={"prompt": "foo", "response": "bar"})
    assert found.columns == {"prompt": "foo", "response": "bar"}


def test_a_named_column_must_exist():
    with pytest.raises(DataError, match="did you mean 'question'"):
        detect(["question"], [{"question": "a"}], given_columns={"prompt": "qestion"})


def test_tags_are_taken_from_the_rows():
    row = {"chat": [{"speaker": "prompter", "text": "x"}, {"speaker": "bot", "text": "y"}]}
    tags = detect(["chat"], [row]).tags
    assert (tags["role_tag"], tags["content_tag"]) == ("speaker", "text")
    assert (tags["user_tag"], tags["assistant_tag"]) == ("prompter", "bot")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, CALL]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}, ASSISTANT]},
        {"prompt": "a", "chosen": [ASSISTANT], "rejected": [ASSISTANT]},
        {"prompt": "a", "chosen": ASSISTANT, "rejected": ASSISTANT},
        {"messages": [USER], "chosen": "a", "rejected": "b"},
        {"prompt": "a", "completion": "b", "label": 1},
    ],
)
def test_says_what_the_trainer_cannot_load(row):
    assert detect(list(row), [row]).convert_first


def test_openai_chat_does_not_go_through_the_converter_that_adds_a_system_prompt():
    row = {"messages": [USER, ASSISTANT]}
    found = detect(list(row), [row])
    entry = dataset_info_entry(found.format, found.columns, found.tags, "a.jsonl")
    assert entry["formatting"] == "sharegpt"
    assert entry["tags"]["user_tag"] == "user"


def test_entry_of_pairs_is_ranking():
    row = {"prompt": "a", "chosen": "b", "rejected": "c"}
    found = detect(list(row), [row])
    entry = dataset_info_entry(found.format, found.columns, found.tags, "a.jsonl")
    assert entry == {"file_name": "a.jsonl", "ranking": True,
                     "columns": {"chosen": "chosen", "rejected": "rejected", "prompt": "prompt"}}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_entries_of_data_that_cannot_be_seen_have_the_usual_columns(name):
    entry = dataset_info_entry(name, {}, {}, "f")
    assert set(FORMATS[name].required) <= set(entry["columns"])
    assert ("formatting" in entry) == (name in ("sharegpt", "openai"))


def test_only_prompts_keep_the_answer_column():
    columns = {"prompt": "q", "answer": "a"}
    assert dataset_info_entry("prompts", columns, {}, "f")["columns"] == columns
    assert dataset_info_entry("alpaca", columns, {}, "f")["columns"] == {"prompt": "q"}
