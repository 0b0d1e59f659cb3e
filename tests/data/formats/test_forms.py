"""Rows in other projects' forms are read like the usual ones, and nothing in them vanishes."""

from __future__ import annotations

import json
import random

import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.convert import convert_for_trainer
from ftsdk.data.formats.forms import REASON, may_differ, usual_row
from ftsdk.data.formats.summary import describe_file
from tests.data.planting import dumped, sentence


def part(text):
    return [{"type": "text", "text": text}]


def in_forms(ask, answer):
    """The same chat of two turns, with the system message `Be kind.`, as other projects write it."""
    plain = [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
    parts = [{**turn, "content": part(turn["content"])} for turn in plain]
    bedrock = [{"role": turn["role"], "content": [{"text": turn["content"]}]} for turn in plain]
    return {
        "openai parts": {"messages": [{"role": "system", "content": part("Be kind.")}, *parts]},
        "developer": {"messages": [{"role": "developer", "content": "Be kind."}, *plain]},
        "anthropic": {"system": "Be kind.", "messages": plain},
        "anthropic parts": {"system": part("Be kind."), "messages": parts},
        "bedrock": {"system": [{"text": "Be kind."}], "messages": bedrock},
        "firefly": {"system": "Be kind.", "conversation": [{"human": ask, "assistant": answer}]},
        "xtuner": {"conversation": [{"system": "Be kind.", "input": ask, "output": answer}]},
    }


FORMS = tuple(in_forms("", ""))


def written(path, rows):
    path.write_bytes(b"".join(dumped(row) + b"\n" for row in rows))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_chat_in_another_form_is_the_same_training_data(tmp_path, form):
    rng = random.Random(7)
    chats = [(sentence(rng), sentence(rng)) for _ in range(60)]
    file = written(tmp_path / "rows.jsonl", [in_forms(ask, answer)[form] for ask, answer in chats])
    report = check([file], CheckOptions(method="sft"))
    assert (report.verdict, report.findings) == ("pass", ())
    convert_for_trainer(file, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    expected = [[("system", "Be kind."), ("human", ask), ("gpt", answer)] for ask, answer in chats]
    assert [[(turn["from"], turn["value"]) for turn in row["conversations"]] for row in rows] == expected


@pytest.mark.parametrize("form", [form for form in FORMS if form != "anthropic"])
def test_the_trainer_gets_a_converted_file(tmp_path, form):
    file = written(tmp_path / "rows.jsonl", [in_forms("Why?", "So.")[form]])
    assert describe_file(file).convert_first in (REASON, "message contents that are lists of parts")


def test_a_late_row_of_a_large_file_in_another_form_is_seen(tmp_path):
    plain = [{"role": "user", "content": "x" * 100_000}, {"role": "assistant", "content": "y"}]
    rows = [{"messages": plain}] * 90 + [in_forms("Why?", "So.")["developer"]]
    assert describe_file(written(tmp_path / "rows.jsonl", rows)).convert_first == REASON


def test_loss_flags_of_xtuner_are_kept():
    pair = {"input": "Why?", "output": "So.", "output_with_loss": False}
    answer = usual_row({"conversation": [pair]})["conversation"][1]
    assert answer == {"role": "assistant", "content": "So.", "loss": False}


def test_files_named_in_parts_become_placeholders_and_a_column():
    content = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is it?"}]
    row = usual_row({"messages": [{"role": "user", "content": content}]})
    assert row == {"messages": [{"role": "user", "content": "<image>What is it?"}], "images": ["a.png"]}
    trl = {"images": ["a.png"], "messages": [{"role": "user", "content": [{"type": "image"}, *part("?")]}]}
    assert usual_row(trl) == {"images": ["a.png"], "messages": [{"role": "user", "content": "<image>?"}]}


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}},
            "part 2 of type 'image_url' that names no",
        ),
        ({"type": "tool_result", "content": "12"}, "part 2 of type 'tool_result', which the trainer does not read"),
        ("text", "part 2 is text, not an object with a text"),
    ],
)
def test_a_part_that_cannot_be_read_is_named(tmp_path, odd, why):
    rows = [{"messages": [{"role": "user", "content": [*part("?"), odd]}, {"role": "assistant", "content": "!"}]}]
    report = check([written(tmp_path / "rows.jsonl", rows)], CheckOptions(method="sft"))
    (finding,) = report.of("wrong_type")
    assert "'content' of message 1 of 'messages'" in finding.message
    assert why in finding.message


def test_usual_rows_are_not_touched():
    alpaca = {"instruction": "[{x}]", "input": "", "output": "the developer"}
    rows = [alpaca, {"messages": [{"role": "user", "content": "?"}]}]
    assert not any(may_differ(dumped(row)) for row in rows)
    assert [usual_row(row) for row in rows] == rows


def test_faulty_json_is_not_hidden_by_rewriting(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"messages": [{"role": "developer", "role": "developer", "content": "x"}]}\n')
    assert check([file], CheckOptions(method="sft")).of("duplicate_key")


# --- nothing vanishes -----------------------------------------------------------------------------------------
def shapes(rng):
    """A right row of each shape with messages or columns, and the objects in it that may get another key."""
    ask, answer, other = (sentence(rng) for _ in range(3))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat = [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
    yield "alpaca", {"instruction": ask, "output": answer}
    yield "openai", {"messages": chat}
    yield "sharegpt", {"conversations": [{"from": "human", "value": ask}, {"from": "gpt", "value": answer}]}
    yield "tools", {
        "messages": [
            chat[0], {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "1"}, chat[1],
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    }  # fmt: skip
    yield "parts", {"messages": [{"role": "user", "content": part(ask)}, chat[1]]}
    yield "pairs", {"conversation": [{"human": ask, "assistant": answer}]}
    yield "preference", {"chosen": chat, "rejected": [chat[0], {"role": "assistant", "content": other}]}
    yield "preference text", {"prompt": ask, "chosen": answer, "rejected": other}
    yield (
        "openai preference",
        {
            "input": {"messages": [chat[0]]},
            "preferred_output": [chat[1]],
            "non_preferred_output": [{"role": "assistant", "content": other}],
        },
    )
    yield "kto", {"prompt": [chat[0]], "completion": [chat[1]], "label": rng.random() < 0.5}


NAMES = tuple(name for name, _ in shapes(random.Random(0)))


def objects(value, path=()):
    """Every object in a row, but for tools, whose keys are all passed on."""
    if isinstance(value, dict):
        yield value
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list) and key != "tools":
            yield from objects(item, (*path, key))


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_every_row_is_used_or_named_with_its_count(tmp_path, name):
    rng, rows, planted = random.Random(name), [], {}
    for number in range(120):
        row = json.loads(json.dumps(dict(shapes(rng))[name]))
        for place, found in enumerate(list(objects(row))):
            if (number + place) % 3 == 0:
                key = f"extra_{place}"
                found[key] = rng.choice([1, "x", None, True, [1], {"a": 1}])
                planted[key] = planted.get(key, 0) + 1
        rows.append(row)
    method = {"preference": "dpo", "kto": "kto"}.get(name.split()[-1] if "pref" in name else name, "sft")
    method = "dpo" if "preference" in name else method
    file = written(tmp_path / "rows.jsonl", rows)
    report = check([file], CheckOptions(method=method, heuristics=False))
    assert not [finding for finding in report.findings if finding.severity == "error"]
    notes = [finding.message for finding in report.of("unused_field")]
    for key, count in planted.items():
        named = [note for note in notes if f"{key}'" in note]
        assert sum(int(note.rpartition("(")[2].split()[0].replace(",", "")) for note in named) == count, (key, notes)
    assert set(describe_file(file, method=method).unused) == {note.partition("does not use ")[2] for note in notes}
