"""Near-duplicates by word triples."""

import json

from ftsdk.data.checks import near_duplicates
from ftsdk.data.checks.check import CheckOptions, check
from tests.data.planting import clean_rows


def test_similarity_ignores_case_and_punctuation():
    assert near_duplicates.similarity("One two, three four!", "one TWO three four") == 1
    assert near_duplicates.similarity("one two three four", "one two three five") == 1 / 3
    assert near_duplicates.similarity("a", "b") == 0


def test_spaceless_scripts_are_compared_by_characters():
    assert near_duplicates.similarity("今天天气很好我们去公园", "今天天气很好我们去公园吧") == 9 / 10


def test_near_duplicates_in_chinese(tmp_path):
    base = "每年春天山上的雪融化时，河水都会上涨，村里的人们就开始修理桥梁和道路，准备迎接夏天的到来。"
    letters = [chr(0x4E00 + n) for n in range(3000)]
    rows = [
        {"instruction": "".join(letters[n * 20 : n * 20 + 20]), "output": "".join(letters[n * 9 : n * 9 + 40])}
        for n in range(80)
    ]
    rows[20] = {"instruction": base, "output": base[::-1]}
    rows[60] = {"instruction": base, "output": base[::-1] + "好"}
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    report = check([path], CheckOptions(method="sft"))
    assert [(f.row, f.message) for f in report.of("near_duplicate")] == [(61, "is 99% the same as row 21")]


def test_near_duplicates_across_files_exclude_exact_duplicates(tmp_path):
    rows = clean_rows("alpaca", 60, 0)
    rows[5]["output"] = "One long answer that stays nearly as it is for this test of rows that are close to each other."
    one = tmp_path / "a.jsonl"
    one.write_text("\n".join(map(json.dumps, [*rows, rows[7]])))
    other = tmp_path / "b.jsonl"
    other.write_text(json.dumps({**rows[5], "output": rows[5]["output"].upper()}))
    report = check([one, other], CheckOptions(method="sft"))
    assert [(f.file, f.row) for f in report.of("near_duplicate")] == [(str(other), 1)]
    assert "row 6 of a.jsonl" in report.of("near_duplicate")[0].message
    assert [f.row for f in report.of("duplicate")] == [61]


def test_heuristics_can_be_left_out(tmp_path):
    rows = clean_rows("alpaca", 60, 0)
    rows[5]["output"] = "Write to bob@smith.org"
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert check([path], CheckOptions(method="sft")).counts == {"personal_data": 1}
    assert check([path], CheckOptions(method="sft", heuristics=False)).counts == {}
