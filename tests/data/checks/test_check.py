"""Planted faults are found, all of them and nothing else."""

import csv
import json
import random
from collections import defaultdict
from pathlib import Path

import duckdb
import openpyxl
import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.checks.report import CODES
from ftsdk.data.formats.files import DataFile, source
from ftsdk.data.formats.rows import batches
from ftsdk.errors import DataError
from tests.data import planting
from tests.data.planting import CLEAN, clean_rows, dumped, field_faults, planted, sentence

EXACT = {code for code, (_, exact, _) in CODES.items() if exact}


def write(path: Path, rows) -> Path:
    path.write_bytes(b"".join((row if isinstance(row, bytes) else dumped(row)) + b"\n" for row in rows))
    return path


def found_rows(report, *, file=None):
    rows = defaultdict(set)
    for finding in report.findings:
        if finding.code in EXACT and finding.row is not None and (file is None or finding.file == str(file)):
            rows[finding.row].add(finding.code)
    return dict(rows)


@pytest.mark.parametrize("shape", CLEAN)
def test_planted_faults_are_found_exactly(tmp_path, shape):
    made = planted(shape, 0, count=600)
    path = tmp_path / "train.jsonl"
    path.write_bytes(made.content)
    report = check([path], CheckOptions(method=CLEAN[shape][0]))
    assert found_rows(report) == made.expected
    assert report.num_rows == sum(1 for line in made.lines if line)


@pytest.mark.parametrize("shape", CLEAN)
def test_each_kind_of_fault(tmp_path, shape):
    faults = planting.TEXT_FAULTS | field_faults(shape)
    rows = clean_rows(shape, 2 * len(faults) + 200, 7)
    lines = [dumped(row) for row in rows]
    expected = {}
    for number, (name, (code, fault)) in enumerate(faults.items()):
        lines[2 * number + 100] = fault(random.Random(name), rows[2 * number + 100])
        expected[2 * number + 101] = {code}
    report = check([write(tmp_path / "train.jsonl", lines)], CheckOptions(method=CLEAN[shape][0]))
    found = found_rows(report)
    names = {2 * number + 101: name for number, name in enumerate(faults)}
    assert {names.get(row, row): codes for row, codes in found.items()} == {
        names[row]: c for row, c in expected.items()
    }
    assert report.verdict == "fail"


@pytest.mark.parametrize("shape", CLEAN)
def test_clean_rows_pass(tmp_path, shape):
    report = check([write(tmp_path / "train.jsonl", clean_rows(shape, 150, 1))], CheckOptions(method=CLEAN[shape][0]))
    assert report.findings == ()
    assert report.verdict == "pass"
    assert json.loads(json.dumps(report.to_dict()))["num_rows"] == 150


def alpaca(count, seed=0):
    return clean_rows("alpaca", count, seed)


def as_other_kind(path: Path, rows) -> Path:
    """The rows in the kind of file that the name says."""
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0], delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=2, ensure_ascii=False))
    elif path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for record in [tuple(rows[0]), *(tuple(row.values()) for row in rows)]:
            book.active.append(record)
        book.save(path)
    else:
        lines = write(path.with_suffix(".tmp.jsonl"), rows)
        duckdb.connect().execute(f"copy (from read_json('{lines}')) to '{path}' (format parquet)")
        lines.unlink()
    return path


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.tsv", "a.parquet", "a.xlsx"])
def test_rows_of_csv_excel_and_other_kinds_are_checked(tmp_path, name):
    rows = alpaca(150)
    rows[9]["output"] = " "
    rows[99] = {**rows[98]}
    rows[120]["output"] = 'says "one",\n two\tthree \u00e9\u4e2d'
    path = as_other_kind(tmp_path / name, rows)
    report = check([path], CheckOptions(method="sft"))
    assert found_rows(report) == {10: {"empty_field"}, 100: {"duplicate"}}
    assert report.num_rows == 150


def test_faults_of_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'question,answer\na,b\nc\n"d\nd",e\nf,g,h\n"i"x,j\nk,\xff\nl,m\n')
    assert found_rows(check([path], CheckOptions(method="sft"))) == {
        2: {"bad_record"}, 4: {"bad_record"}, 5: {"bad_record"}, 6: {"encoding"},
    }  # fmt: skip


def test_faults_of_a_list(tmp_path):
    good = [json.dumps(row, indent=1) for row in alpaca(8)]
    good[1] = good[1].replace('"output": "', '"output": ')
    good[3] = good[3][:-1]
    good[5] = "7"
    path = tmp_path / "a.json"
    path.write_text("[" + ",\n".join(good) + ",\n]")
    report = check([path], CheckOptions(method="sft"))
    assert found_rows(report) == {2: {"bad_json"}, 4: {"bad_json"}, 6: {"not_object"}}
    assert [f.message for f in report.findings if f.code == "bad_json" and f.row is None] == [
        "has a comma before the closing ]"
    ]
    assert report.num_rows == 8


@pytest.mark.parametrize("batch_bytes", [100, 1000, 10_000])
def test_lists_are_read_the_same_in_any_pieces(tmp_path, batch_bytes):
    rows = alpaca(60)
    texts = [json.dumps(row, indent=2) for row in rows]
    texts[20] = texts[20].replace(":", "", 1)
    path = tmp_path / "a.json"
    path.write_text(" [\n" + " ,\n".join(texts) + "]\n")
    got = list(batches(source(path), batch_bytes=batch_bytes))
    assert [json.loads(text) for batch in got for _, text in batch.rows()] == rows[:20] + rows[21:]
    assert [fault.row for batch in got for fault in batch.faults] == [21]


@pytest.mark.parametrize("batch_bytes", [50, 1000])
def test_lines_keep_their_numbers_in_any_pieces(tmp_path, batch_bytes):
    made = planted("alpaca", 3, count=60)
    path = tmp_path / "a.jsonl"
    path.write_bytes(made.content)
    got = [row for batch in batches(source(path), batch_bytes=batch_bytes) for row in batch.rows()]
    whole = [row for batch in batches(source(path)) for row in batch.rows()]
    assert got == whole


def test_duplicates_across_files_and_spellings(tmp_path):
    rows = alpaca(60)
    one = write(tmp_path / "a.jsonl", rows)
    again = {"output": rows[5]["output"], "id": 9, "input": rows[5]["input"], "instruction": rows[5]["instruction"]}
    escaped = json.dumps({**rows[6], "output": rows[6]["output"] + "é"}, ensure_ascii=True).encode()
    plain = json.dumps({**rows[6], "output": rows[6]["output"] + "é"}, ensure_ascii=False).encode()
    other = write(tmp_path / "b.jsonl", [again, escaped, plain, {**rows[7], "input": None}])
    report = check([one, other], CheckOptions(method="sft"))
    found = {(Path(f.file).name, f.row): f.message for f in report.of("duplicate")}
    expected = {
        ("b.jsonl", 1): "has the same content as row 6 of a.jsonl",
        ("b.jsonl", 3): "has the same content as row 2",
    }
    if not rows[7]["input"]:
        expected["b.jsonl", 4] = "has the same content as row 8 of a.jsonl"
    assert found == expected


def test_leakage(tmp_path):
    rows = alpaca(80)
    train = write(tmp_path / "train.jsonl", rows)
    held_out = [*alpaca(20, seed=5), rows[3], {**rows[4], "output": "Another answer."}, rows[3]]
    evaluation = write(tmp_path / "eval.jsonl", held_out)
    report = check([train], CheckOptions(method="sft"), eval_paths=[evaluation])
    assert [(f.row, f.message) for f in report.of("leakage")] == [
        (21, "is also in the training data: row 4 of train.jsonl"),
        (23, "is also in the training data: row 4 of train.jsonl"),
    ]
    assert [f.row for f in report.of("shared_prompt")] == [22]
    assert [f.row for f in report.of("duplicate")] == [23]
    assert report.num_rows == 80


def test_leakage_of_chats_and_pairs(tmp_path):
    for shape in ("openai", "sharegpt_tools", "pair", "pair_lists", "kto", "text"):
        rows = clean_rows(shape, 30, 0)
        train = write(tmp_path / "train.jsonl", rows)
        evaluation = write(tmp_path / "eval.jsonl", [*clean_rows(shape, 5, 1), rows[7]])
        report = check([train], CheckOptions(method=CLEAN[shape][0]), eval_paths=[evaluation])
        assert [f.row for f in report.of("leakage")] == [6], shape


def test_labels(tmp_path):
    rows = clean_rows("kto", 120, 0)
    rows.append({**rows[2], "label": not rows[2]["label"]})
    report = check([write(tmp_path / "a.jsonl", rows)], CheckOptions(method="kto"))
    assert [(f.code, f.row) for f in report.findings] == [("label_conflict", 121)]
    one_sided = [{**row, "label": True} for row in clean_rows("kto", 120, 0)]
    assert set(check([write(tmp_path / "b.jsonl", one_sided)], CheckOptions(method="kto")).counts) == {"one_label"}


def test_labels_of_one_other_kind_are_accepted(tmp_path):
    rows = [{**row, "label": int(row["label"])} for row in clean_rows("kto", 120, 0)]
    rows[50]["label"] = True
    assert found_rows(check([write(tmp_path / "a.jsonl", rows)], CheckOptions(method="kto"))) == {51: {"bad_label"}}


def test_media(tmp_path):
    (tmp_path / "cat.png").write_bytes(b"x")
    good = [
        {
            "messages": [{"role": "user", "content": f"<image>{n}?"}, {"role": "assistant", "content": f"A cat {n}"}],
            "images": ["cat.png"],
        }
        for n in range(60)
    ]
    good[10]["images"] = ["dog.png"]
    good[20]["images"] = []
    good[30]["images"] = ["cat.png", "cat.png"]
    good[40]["images"] = [3]
    report = check([write(tmp_path / "a.jsonl", good)], CheckOptions(method="sft"))
    assert found_rows(report) == {11: {"missing_media"}, 21: {"media_count"}, 31: {"media_count"}, 41: {"wrong_type"}}


def test_a_format_that_the_method_cannot_use(tmp_path):
    path = write(tmp_path / "a.jsonl", alpaca(120))
    report = check([path], CheckOptions(method="dpo"))
    assert [f.code for f in report.findings] == ["wrong_format"]
    assert "dpo takes preference" in report.findings[0].message


def test_unknown_columns_are_a_finding_and_the_rest_is_still_checked(tmp_path):
    rows = [{"foo": sentence(random.Random(n)), "bar": "x"} for n in range(60)]
    lines = [dumped(row) for row in rows]
    lines[7] = b"{"
    report = check([write(tmp_path / "a.jsonl", lines)], CheckOptions(method="sft"))
    assert report.counts == {"wrong_format": 1, "bad_json": 1}
    path = write(tmp_path / "a.jsonl", lines)
    file = DataFile(path=path, format="alpaca", columns={"prompt": "foo", "response": "bar"})
    given = check([file], CheckOptions(method="sft"))
    assert given.counts == {"bad_json": 1}


def test_a_file_of_faulty_rows_fails_the_check(tmp_path):
    report = check([write(tmp_path / "a.jsonl", [b"x", b"{", b""])], CheckOptions(method="sft"))
    assert found_rows(report) == {1: {"bad_json"}, 2: {"bad_json"}, 3: {"blank_line"}}
    assert report.verdict == "fail"


def test_too_few_rows_only_warn(tmp_path):
    report = check([write(tmp_path / "a.jsonl", alpaca(12))], CheckOptions(method="sft"))
    assert (report.verdict, list(report.counts)) == ("warn", ["too_few_rows"])


def test_a_missing_file_raises_data_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        check([tmp_path / "none.jsonl"], CheckOptions(method="sft"))


def test_folders_and_patterns(tmp_path):
    write(tmp_path / "a.jsonl", alpaca(60))
    write(tmp_path / "b.jsonl", alpaca(60, seed=2))
    (tmp_path / "README.md").write_text("no data")
    for path in (tmp_path, tmp_path / "*.jsonl"):
        report = check([path], CheckOptions(method="sft"))
        assert (report.num_rows, len(report.files), report.verdict) == (120, 2, "pass")


def test_rows_longer_than_the_cutoff(tmp_path):
    rows = alpaca(60)
    rows[10]["output"] = "word " * 700
    path = write(tmp_path / "a.jsonl", rows)
    report = check([path], CheckOptions(method="sft", cutoff_len=600))
    assert [f.row for f in report.of("too_long")] == [11]
    assert "about" in report.of("too_long")[0].message
    assert [f.code for f in report.findings if f.row is None] == ["estimate"]
    assert not check([path], CheckOptions(method="sft", cutoff_len=2000)).of("too_long")


def test_an_extreme_row_stands_out(tmp_path):
    rows = alpaca(100)
    rows[50]["output"] = "word " * 5000
    assert [
        f.row for f in check([write(tmp_path / "a.jsonl", rows)], CheckOptions(method="sft")).of("extreme_length")
    ] == [51]
