"""Files as they occur in practice: each trap is a fault in a known row, or none at all."""

import datetime
import json
from decimal import Decimal

import openpyxl
import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.convert import convert, convert_for_trainer
from tests.data.planting import OPENAI, SHAREGPT, clean_rows, dumped, tool_chat

ROWS = [dumped(row) for row in clean_rows("alpaca", 60, 0)]
CHATS = [dumped(row) for row in clean_rows("openai", 60, 0)]


def lines(rows):
    return b"\n".join(rows) + b"\n"


def listed(rows):
    return b"[\n" + b",\n".join(rows) + b"\n]"


def with_row(new, number=5, rows=ROWS):
    return [*rows[: number - 1], *(new if isinstance(new, list) else [new]), *rows[number:]]


def filled(text):
    return b'{"instruction": "i", "output": "' + text.encode() + b'"}'


def findings(path, method="sft", **more):
    """Row -> code, without notes about the size of the file."""
    report = check([path], CheckOptions(method=method, **more))
    ignored = ("too_few_rows", "blank_line", "unused_field")
    return {found.row: found.code for found in report.findings if found.code not in ignored}


THREE_BROKEN = [ROWS[4][:-10], ROWS[5].replace(b":", b"", 1), ROWS[6][:25]]
OVER_LINES = [b"{", b'"instruction": "a",', b'"output": "b"', b"}"]
FILES = {
    "a mark before lines.jsonl": (b"\xef\xbb\xbf" + lines(ROWS), {None: "leading_mark"}),
    "a mark between lines.jsonl": (lines(with_row(b"\xef\xbb\xbf" + ROWS[4])), {5: "bad_json"}),
    "UTF-16 without a mark.jsonl": (lines(ROWS).decode().encode("utf-16-le"), {None: "encoding"}),
    "UTF-16 list.json": (listed(ROWS).decode().encode("utf-16-be"), {None: "encoding"}),
    "UTF-16 table.csv": ("question,answer\na,b\n".encode("utf-16"), {}),
    "UTF-16 lines.jsonl": (lines(ROWS).decode().encode("utf-16"), {}),
    "a mark before a list.json": (b"\xef\xbb\xbf" + listed(ROWS), {None: "leading_mark"}),
    "rows in an object.json": (b'{"version": "1", "data": ' + listed(ROWS) + b', "n": 3}', {}),
    "first line cut.json": (lines(with_row(ROWS[0][:20], 1)), {1: "bad_json"}),
    "first line a list.jsonl": (lines(with_row(b"[" + ROWS[0] + b"]", 1)), {1: "not_object"}),
    "first line an empty list.json": (lines(with_row(b"[]", 1)), {1: "not_object"}),
    "an object over lines.jsonl": (
        lines(with_row(OVER_LINES)), dict.fromkeys(range(5, 9), "bad_json")),
    "names twice inside.jsonl": (lines(with_row(ROWS[4][:-1] + b', "m": {"a": 1, "a": 2}}')), {5: "duplicate_key"}),
    "names twice later in a list.jsonl": (
        lines(with_row(ROWS[4][:-1] + b', "m": ["x", {"a": 1, "a": 2}]}')),
        {5: "duplicate_key"},
    ),
    "names twice in a list.jsonl": (
        lines(with_row(CHATS[4][:-1] + b', "m": [{"a": 1, "a": 2}]}', rows=CHATS)), {5: "duplicate_key"}),
    "nested too deeply.jsonl": (
        lines(with_row(ROWS[4][:-1] + b', "m": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")), {5: "bad_json"}),
    "three in a row.json": (
        listed([*ROWS[:4], *THREE_BROKEN, *ROWS[7:]]), {5: "bad_json", 6: "bad_json", 7: "bad_json"}),
    "the first two.json": (listed([ROWS[0][:-10], ROWS[1][:-10], *ROWS[2:]]), {1: "bad_json", 2: "bad_json"}),
    "no brace.json": (listed(with_row(ROWS[4][1:])), {5: "bad_json"}),
    "two commas.json": (listed(with_row(ROWS[4] + b",")), {6: "bad_json"}),
    "quotes in a chat.json": (
        listed(with_row(CHATS[4].replace(b'"content": "', b'"content": "a "b" '), rows=CHATS)), {5: "bad_json"}),
    "semicolons.csv": (b"question;answer\na;b\n", {None: "bad_record"}),
    "tabs.csv": (b"question\tanswer\na\tb\n", {None: "bad_record"}),
    "an index.csv": (b",question,answer\n" + b"".join(b"%d,a%d,b%d\n" % (n, n, n) for n in range(60)), {}),
    "most decide.jsonl": (
        lines([*ROWS[:50], *CHATS[50:55], *ROWS[55:]]), dict.fromkeys(range(51, 56), "missing_field")),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path, name):
    content, expected = FILES[name]
    (tmp_path / name).write_bytes(content)
    found = findings(tmp_path / name)
    if None in expected:
        assert found[None] in (expected[None], "no_rows")
        assert expected[None] in check([tmp_path / name], CheckOptions(method="sft")).counts
        assert all(row is None for row in found)
    else:
        assert found == expected


@pytest.mark.parametrize("text", ["\\u0000", "\u00ad", "\u200f", "\u2800", "\u3164", "\ufe0f", "\u180e", "\u2028"])
def test_invisible_text_counts_as_empty(tmp_path, text):
    (tmp_path / "a.jsonl").write_bytes(lines(with_row(filled(text))))
    assert findings(tmp_path / "a.jsonl") == {5: "empty_field"}


def table(path, rows):
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)
    else:
        import csv

        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(rows)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.xlsx"])
def test_chats_in_cells(tmp_path, name):
    cells = [json.dumps(row["messages"]) for row in clean_rows("openai", 60, 0)]
    cells[4], cells[6], cells[8] = cells[4][:-5], "[]", json.dumps(json.loads(cells[8])[:-1])
    path = table(tmp_path / name, [["messages"], *([cell] for cell in cells)])
    assert findings(path) == {5: "wrong_type", 7: "empty_field", 9: "role_order"}


def test_json_that_is_an_answer_stays_text(tmp_path):
    rows = [["question", "answer"], *([f"JSON {n}", json.dumps([{"x": n}])] for n in range(60))]
    path = table(tmp_path / "a.csv", rows)
    assert findings(path, heuristics=False) == {}
    convert_for_trainer(path, tmp_path / "b.jsonl")
    assert json.loads((tmp_path / "b.jsonl").read_text().splitlines()[3])["output"] == '[{"x": 3}]'


def test_a_hole_in_a_header_moves_no_column(tmp_path):
    path = table(tmp_path / "a.xlsx", [["question", None, "answer"], *([f"a{n}", None, f"b{n}"] for n in range(60))])
    assert findings(path, heuristics=False) == {}


def test_labels_of_tables(tmp_path):
    rows = [["prompt", "completion", "label"], *([f"a{n}", f"b{n}", n % 2] for n in range(120))]
    assert findings(table(tmp_path / "a.csv", rows), "kto", heuristics=False) == {}


def test_numbers_that_json_lacks(tmp_path):
    import duckdb

    path = tmp_path / "a.parquet"
    source = tmp_path / "a.jsonl"
    source.write_bytes(lines(ROWS))
    duckdb.connect().execute(
        f"copy (select *, 'nan'::double as score, '-inf'::float as t, {Decimal('1.5')} as m, "
        f"'{datetime.date(2024, 1, 1)}'::date as d from read_json('{source}')) to '{path}' (format parquet)"
    )
    assert findings(path) == {}


def openai_pair(number):
    asked = {"messages": [{"role": "user", "content": f"q{number}"}], "tools": [], "parallel_tool_calls": True}
    good, bad = ([{"role": "assistant", "content": f"{word} {number}"}] for word in ("yes", "no"))
    return {"input": asked, "preferred_output": good, "non_preferred_output": bad}


def test_preferences_as_openai_has_them(tmp_path):
    rows = [openai_pair(number) for number in range(120)]
    rows[4]["non_preferred_output"] = rows[4]["preferred_output"]
    rows[6]["input"]["messages"] = []
    (tmp_path / "a.jsonl").write_bytes(lines([dumped(row) for row in rows]))
    assert findings(tmp_path / "a.jsonl", "dpo", heuristics=False) == {5: "same_pair", 7: "empty_field"}
    (tmp_path / "b.jsonl").write_bytes(lines([dumped(openai_pair(1))]))
    convert_for_trainer(tmp_path / "b.jsonl", tmp_path / "c.jsonl", method="dpo")
    assert json.loads((tmp_path / "c.jsonl").read_bytes())["conversations"] == [{"from": "human", "value": "q1"}]


def test_answers_that_are_lists_of_messages(tmp_path):
    asked = [[{"role": "user", "content": f"q{n}"}] for n in range(120)]
    said = [[{"role": "assistant", "content": f"a{n}"}] for n in range(120)]
    rows = [{"prompt": asked[n], "completion": said[n], "label": n % 3 == 0} for n in range(120)]
    rows[4]["completion"] = []
    rows[6]["completion"] = "text"
    (tmp_path / "a.jsonl").write_bytes(lines([dumped(row) for row in rows]))
    assert findings(tmp_path / "a.jsonl", "kto", heuristics=False) == {5: "empty_field", 7: "wrong_type"}


def leak(tmp_path, train, held_out):
    for name, rows in (("train", train), ("eval", held_out)):
        (tmp_path / f"{name}.jsonl").write_bytes(lines([dumped(row) for row in rows]))
    report = check(
        [tmp_path / "train.jsonl"], CheckOptions(method="sft", heuristics=False), eval_paths=[tmp_path / "eval.jsonl"]
    )
    return [found.row for found in report.of("leakage")]


@pytest.mark.parametrize("names", [OPENAI, SHAREGPT])
@pytest.mark.parametrize("query", ["", "the query"])
def test_the_same_row_in_another_format_is_leakage(tmp_path, names, query):
    role, content, user, assistant = names
    train = [{"instruction": f'say "{n}"', "input": query, "output": f"o\u00e9{n}", "system": "s"} for n in range(9)]
    asked = 'say "3"' + (f"\n{query}" if query else "")
    chat = [{role: "system", content: "s"}, {role: user, content: asked}, {role: assistant, content: "oé3"}]
    other = [{role: user, content: "x"}, {role: assistant, content: "y"}]
    column = "messages" if role == "role" else "conversations"
    assert leak(tmp_path, train, [{column: other}, {column: chat}]) == [2]
    assert leak(tmp_path, [{column: chat}], [{"question": "x", "answer": "y", "system": ""}, train[3]]) == [2]


def test_tool_chats_survive_a_round_trip(tmp_path):
    import random

    row = tool_chat(random.Random(1))
    row["messages"][2]["content"] = "Let me look."
    (tmp_path / "a.jsonl").write_bytes(dumped(row))
    made = convert([tmp_path / "a.jsonl"], tmp_path / "b.jsonl", to="sharegpt")
    assert made.comments_left_out == 1
    convert([tmp_path / "b.jsonl"], tmp_path / "c.jsonl", to="openai")
    back = json.loads((tmp_path / "c.jsonl").read_bytes())["messages"]
    assert [(m["role"], m["content"]) for m in back] == [
        (m["role"], None if m.get("tool_calls") else m["content"]) for m in row["messages"]
    ]
    assert convert([tmp_path / "a.jsonl"], tmp_path / "d.jsonl", to="openai").comments_left_out == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row["messages"][2]["tool_calls"][0]["function"].update(arguments="[1]"),
        lambda row: row["messages"][2]["tool_calls"][0]["function"].update(name=" "),
        lambda row: row.update(tools=[{}]),
    ],
)
def test_calls_and_tools_without_a_name_or_an_object(tmp_path, change):
    rows = clean_rows("openai_tools", 60, 0)
    change(rows[4])
    (tmp_path / "a.jsonl").write_bytes(lines([dumped(row) for row in rows]))
    assert findings(tmp_path / "a.jsonl") == {5: "bad_tools"}
