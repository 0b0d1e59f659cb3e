"""Clean copies, conversions and splits: what comes out is right, and what went in is not touched."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.checks.fix import fix
from ftsdk.data.convert import convert, convert_for_trainer
from ftsdk.data.formats.summary import describe_file
from ftsdk.data.split import split
from ftsdk.errors import DataError
from tests.data.planting import CLEAN, clean_rows, dumped, planted


def write(path: Path, rows) -> Path:
    path.write_bytes(b"".join(dumped(row) + b"\n" for row in rows))
    return path


def rows_of(path) -> list:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


# --- fix --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", ["alpaca", "sharegpt_tools", "openai", "pair_lists", "kto"])
def test_a_clean_copy_is_clean_and_every_dropped_row_is_named(tmp_path, shape):
    made = planted(shape, 2, count=400)
    path = tmp_path / "train.jsonl"
    path.write_bytes(made.content)
    method = CLEAN[shape][0]
    fixed = fix([path], tmp_path / "out", CheckOptions(method=method))
    assert path.read_bytes() == made.content
    kept = Path(fixed.files[0].output).read_bytes().splitlines()
    assert kept == [line for n, line in enumerate(made.lines, 1) if n not in made.expected]
    drops = rows_of(fixed.dropped)
    assert {d["row"]: set(d["codes"]) for d in drops} == {
        n: codes for n, codes in made.expected.items() if codes != {"blank_line"}
    }
    assert all(d["reasons"] for d in drops)
    assert (fixed.files[0].num_kept, fixed.files[0].num_dropped) == (len(kept), len(drops))
    assert check([fixed.files[0].output], CheckOptions(method=method, heuristics=False)).verdict == "pass"


def test_leaked_rows_are_left_out_of_the_training_side(tmp_path):
    rows = clean_rows("alpaca", 60, 0)
    train, held_out = (
        write(tmp_path / "a.jsonl", rows),
        write(tmp_path / "b.jsonl", [rows[3], *clean_rows("alpaca", 5, 1)]),
    )
    fixed = fix([train], tmp_path / "out", CheckOptions(method="sft"), eval_paths=[held_out])
    assert [file.num_kept for file in fixed.files] == [59, 6]
    assert rows_of(fixed.dropped) == [
        {"file": str(train), "row": 4, "codes": ["leakage"], "reasons": ["is also in the held-out data"]}
    ]


def test_lists_and_tables_become_lines(tmp_path):
    rows = clean_rows("question", 60, 0)
    text = json.dumps(rows, indent=2).replace('"answer": "', '"answer": ', 1)
    (tmp_path / "a.json").write_text(text)
    fixed = fix([tmp_path / "a.json"], tmp_path / "out", CheckOptions(method="sft"))
    assert rows_of(fixed.files[0].output) == rows[1:]


def test_existing_files_are_not_overwritten(tmp_path):
    path = write(tmp_path / "a.jsonl", clean_rows("alpaca", 5, 0))
    fix([path], tmp_path / "out", CheckOptions(method="sft"))
    with pytest.raises(DataError, match="exists"):
        fix([path], tmp_path / "out", CheckOptions(method="sft"))
    with pytest.raises(DataError, match="exists"):
        convert([path], path, to="openai")
    assert rows_of(path) == clean_rows("alpaca", 5, 0)


def test_files_with_the_same_name_get_different_output_names(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.jsonl", clean_rows("alpaca", 5, ord(folder)))
    fixed = fix([tmp_path / "x", tmp_path / "y"], tmp_path / "out", CheckOptions(method="sft"))
    assert [Path(f.output).name for f in fixed.files] == ["a.clean.jsonl", "a-2.clean.jsonl"]


# --- convert ----------------------------------------------------------------------------------------------------
ROUND_TRIPS = [
    ("alpaca", "openai"), ("alpaca", "sharegpt"), ("history", "openai"), ("openai", "sharegpt"), ("sharegpt", "openai"),
    ("sharegpt", "alpaca"), ("pair", "preference"), ("pair_chat", "preference"), ("kto", "kto"), ("kto_chat", "kto"),
    ("sharegpt_tools", "openai"), ("openai_tools", "sharegpt"), ("text", "text"), ("prompts", "prompts"),
    ("pair_lists", "preference"), ("alpaca", "text"), ("alpaca", "prompts"), ("openai", "prompts"), ("pair", "alpaca"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "to"), ROUND_TRIPS)
def test_converted_rows_pass_the_check(tmp_path, shape, to):
    path = write(tmp_path / "a.jsonl", clean_rows(shape, 130, 0))
    made = convert([path], tmp_path / "b.jsonl", to=to, method=CLEAN[shape][0])
    assert (made.num_rows, made.left_out) == (130, 0)
    method = {"preference": "dpo", "kto": "kto", "text": "pt", "prompts": "grpo"}.get(to, "sft")
    report = check([tmp_path / "b.jsonl"], CheckOptions(method=method, heuristics=False))
    assert report.verdict == "pass"
    assert report.files[0].format == to


def test_alpaca_to_chat(tmp_path):
    row = {"instruction": "Add.", "input": "1 2", "output": "3", "system": "Be brief.", "history": [["Hi", "Hello"]]}
    path = write(tmp_path / "a.jsonl", [row])
    convert([path], tmp_path / "b.jsonl", to="openai")
    assert rows_of(tmp_path / "b.jsonl") == [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "Add.\n1 2"},
                {"role": "assistant", "content": "3"},
            ]
        }
    ]
    convert([tmp_path / "b.jsonl"], tmp_path / "c.jsonl", to="alpaca")
    assert rows_of(tmp_path / "c.jsonl") == [{**row, "instruction": "Add.\n1 2", "input": ""}]


def test_tool_calls_keep_their_arguments(tmp_path):
    row = clean_rows("openai_tools", 1, 0)[0]
    path = write(tmp_path / "a.jsonl", [row])
    convert([path], tmp_path / "b.jsonl", to="sharegpt")
    (made,) = rows_of(tmp_path / "b.jsonl")
    assert [m["from"] for m in made["conversations"]] == ["system", "human", "function_call", "observation", "gpt"]
    calls = json.loads(made["conversations"][2]["value"])
    asked = [call["function"] for call in row["messages"][2]["tool_calls"]]
    assert calls == [{"name": c["name"], "arguments": json.loads(c["arguments"])} for c in asked]
    assert json.loads(made["tools"]) == row["tools"]


def test_only_good_answers_become_instruction_data(tmp_path):
    rows = clean_rows("kto", 100, 0)
    made = convert([write(tmp_path / "a.jsonl", rows)], tmp_path / "b.jsonl", to="alpaca")
    good = [row for row in rows if row["label"]]
    assert [r["output"] for r in rows_of(tmp_path / "b.jsonl")] == [r["completion"] for r in good]
    assert (made.num_rows, made.left_out) == (len(good), 100 - len(good))


@pytest.mark.parametrize(
    ("shape", "to", "words"),
    [("alpaca", "preference", "no pair"), ("alpaca", "kto", "no label"), ("openai_tools", "alpaca", "tool calls")],
)
def test_rows_that_a_format_cannot_express_are_refused_with_the_row(tmp_path, shape, to, words):
    path = write(tmp_path / "a.jsonl", clean_rows(shape, 3, 0))
    with pytest.raises(DataError, match=f"line 1.*{words}"):
        convert([path], tmp_path / "b.jsonl", to=to)


def test_a_faulty_row_stops_a_conversion(tmp_path):
    rows = clean_rows("alpaca", 20, 0)
    rows[16]["output"] = ""
    with pytest.raises(DataError, match=r"line 17: 'output' is empty.*--fix"):
        convert([write(tmp_path / "a.jsonl", rows)], tmp_path / "b.jsonl", to="openai")


@pytest.mark.parametrize("shape", CLEAN)
def test_for_the_trainer(tmp_path, shape):
    method = CLEAN[shape][0]
    path = write(tmp_path / "a.jsonl", clean_rows(shape, 30, 0))
    convert_for_trainer(path, tmp_path / "b.jsonl", method=method)
    seen = describe_file(tmp_path / "b.jsonl", method=method)
    assert seen.convert_first == ""
    assert seen.num_rows == 30


def test_csv_for_the_trainer_keeps_numerals_as_text(tmp_path):
    (tmp_path / "a.csv").write_text("question,answer\n1 + 1,2\nIs it NA?,NA\n")
    convert_for_trainer(tmp_path / "a.csv", tmp_path / "b.jsonl", method="sft")
    assert [row["output"] for row in rows_of(tmp_path / "b.jsonl")] == ["2", "NA"]


# --- split ------------------------------------------------------------------------------------------------------
def test_a_split_loses_nothing_and_leaks_nothing(tmp_path):
    rows = clean_rows("alpaca", 200, 0)
    rows += [{**row, "output": "Another answer."} for row in rows[:40]] + rows[:10]
    path = write(tmp_path / "a.jsonl", rows)
    made = split([path], tmp_path / "out", fraction=0.2)
    train, held_out = rows_of(made.train), rows_of(made.eval)
    assert Counter(map(dumped, train + held_out)) == Counter(map(dumped, rows))
    assert not {r["instruction"] for r in train} & {r["instruction"] for r in held_out}
    assert 47 <= made.num_eval <= 50
    assert (made.num_train, made.num_eval) == (len(train), len(held_out))


def test_a_split_follows_from_the_seed_not_the_order(tmp_path):
    rows = clean_rows("openai", 100, 0)
    one = split([write(tmp_path / "a.jsonl", rows)], tmp_path / "one", num_eval=20)
    two = split([write(tmp_path / "b.jsonl", rows[::-1])], tmp_path / "two", num_eval=20)
    other = split([tmp_path / "a.jsonl"], tmp_path / "other", num_eval=20, seed=7)
    assert sorted(map(dumped, rows_of(one.eval))) == sorted(map(dumped, rows_of(two.eval)))
    assert rows_of(one.eval) != rows_of(other.eval)


@pytest.mark.parametrize("wanted", [{}, {"fraction": 0.1, "num_eval": 3}, {"num_eval": 30}, {"fraction": 0.001}])
def test_splits_that_make_no_sense(tmp_path, wanted):
    path = write(tmp_path / "a.jsonl", clean_rows("alpaca", 30, 0))
    with pytest.raises(DataError, match=r"Give either|leaves one side empty"):
        split([path], tmp_path / "out", **wanted)


def test_media_are_found_from_the_folder_of_the_output(tmp_path):
    (tmp_path / "in" / "pictures").mkdir(parents=True)
    (tmp_path / "in" / "pictures" / "a.png").write_bytes(b"x")
    turns = [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "That."}]
    row = {"messages": turns, "images": ["pictures/a.png"]}
    (tmp_path / "in" / "rows.jsonl").write_text(json.dumps(row) + "\n")
    convert([tmp_path / "in" / "rows.jsonl"], tmp_path / "out" / "rows.jsonl", to="sharegpt")
    (image,) = json.loads((tmp_path / "out" / "rows.jsonl").read_text())["images"]
    assert image == "../in/pictures/a.png"
    assert check([tmp_path / "out" / "rows.jsonl"], CheckOptions(method="sft")).of("missing_media") == []
