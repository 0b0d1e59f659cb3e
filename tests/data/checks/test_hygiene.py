"""Dirt in texts: found where it is, nowhere else, and cleaned by --fix."""

from __future__ import annotations

import json
import random

import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.checks.fix import fix
from tests.data.planting import sentence

DIRT = {
    "zero width": ("invisible", "A zero\u200bwidth space.", "A zerowidth space."),
    "joiner": ("invisible", "A word\u2060joiner.", "A wordjoiner."),
    "mark": ("invisible", "\ufeffA mark.", "A mark."),
    "nul": ("invisible", "A NUL\x00 here.", "A NUL here."),
    "bell": ("invisible", "A bell\x07 here.", "A bell here."),
    "delete": ("invisible", "A delete\x7f here.", "A delete here."),
    "mojibake": ("mojibake", "The cafÃ© isnâ€™t here.", "The café isn’t here."),
    "mojibake of Chinese": ("mojibake", "ä½\xa0å¥½ is ï¼\x8c odd.", "你好 is ， odd."),
    "entities": ("html_entity", "Salt &amp; pepper &quot;here&quot; &#39;now&#39;.", "Salt & pepper \"here\" 'now'."),
    "spaces around": ("odd_space", "  Spaces around it. ", "Spaces around it."),
    "tab": ("odd_space", "\tA tab before it.", "A tab before it."),
    "no-break": ("odd_space", "A no-break\u00a0space.", "A no-break space."),
    "thin": ("odd_space", "A thin\u2009space.", "A thin space."),
}
CLEAN = {
    "French": "C’est vrai\u00a0: «\u00a0oui\u00a0», 30\u202f000\u00a0€\u202f!",
    "Persian": "می\u200cخواهم",
    "family": "👩\u200d👩\u200d👧",
    "Hebrew": "\u200fשלום",
    "code": "    if a &amp;&amp; b:\n```html\n<p>&lt;b&gt;</p>\n```",
    "lines": "First line.\n\n  - second\n",
    "Portuguese": "NÃO, JOÃO: Ações e “MAÇÃ”.",
    "Chinese": "你好，　世界。",
    "emoji": "Fine ✌️.",
    "markup": "Write &amp; in HTML.",
}


def rows_with(texts, shape):
    """120 right rows, of which the answers of the 10th, 20th … are these texts."""
    rng = random.Random(3)
    for number in range(1, 121):
        text = texts[number // 10 - 1] if number % 10 == 0 and number // 10 <= len(texts) else sentence(rng)
        ask = sentence(rng)
        if shape == "alpaca":
            yield {"instruction": ask, "input": "", "output": text}
        else:
            yield {"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": text}]}


def as_json(row, escaped):
    return json.dumps(row, ensure_ascii=escaped).encode()


@pytest.mark.parametrize("shape", ["alpaca", "openai"])
@pytest.mark.parametrize("escaped", [False, True])
def test_dirt_is_found_in_its_row_and_nowhere_else(tmp_path, shape, escaped):
    for start in (0, 7):
        group = list(DIRT.values())[start : start + 7]
        rows = rows_with([text for _, text, _ in group], shape)
        file = tmp_path / f"{start}.jsonl"
        file.write_bytes(b"".join(as_json(row, escaped) + b"\n" for row in rows))
        report = check([file], CheckOptions(method="sft", heuristics=False))
        found = [(finding.row, finding.code) for finding in report.findings]
        assert found == [(10 * (n + 1), code) for n, (code, _, _) in enumerate(group)]
        assert report.verdict == "warn"


@pytest.mark.parametrize("shape", ["alpaca", "openai"])
def test_clean_texts_are_not_touched(tmp_path, shape):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"".join(as_json(row, False) + b"\n" for row in rows_with(list(CLEAN.values()), shape)))
    assert check([file], CheckOptions(method="sft", heuristics=False)).findings == ()


@pytest.mark.parametrize("shape", ["alpaca", "openai"])
def test_fix_cleans_the_texts_and_lists_what_it_changed(tmp_path, shape):
    texts = [text for _, text, _ in DIRT.values()][:11]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"".join(as_json(row, False) + b"\n" for row in rows_with(texts, shape)))
    fixed = fix([file], tmp_path / "fixed", CheckOptions(method="sft", heuristics=False))
    (copy,) = fixed.files
    assert (copy.num_kept, copy.num_dropped, copy.num_changed) == (120, 0, 11)
    rows = [json.loads(line) for line in (tmp_path / "fixed" / "rows.clean.jsonl").read_text("utf-8").splitlines()]
    answers = [row["output"] if shape == "alpaca" else row["messages"][1]["content"] for row in rows]
    assert answers[9:110:10] == [clean for _, _, clean in DIRT.values()][:11]
    changed = [json.loads(line) for line in (tmp_path / "fixed" / "changed.jsonl").read_text("utf-8").splitlines()]
    assert [entry["row"] for entry in changed] == list(range(10, 111, 10))
    assert check([copy.output], CheckOptions(method="sft", heuristics=False)).findings == ()


def test_a_header_among_the_rows_is_left_out(tmp_path):
    rows = list(rows_with([], "alpaca"))
    rows[40] = {"instruction": "instruction", "input": "input", "output": "output"}
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"".join(as_json(row, False) + b"\n" for row in rows))
    fixed = fix([file], tmp_path / "fixed", CheckOptions(method="sft", heuristics=False))
    assert [(finding.row, finding.code) for finding in fixed.report.findings] == [(41, "header_row")]
    assert (fixed.files[0].num_kept, fixed.files[0].num_dropped) == (119, 1)


def test_what_many_rows_have_is_their_style(tmp_path):
    rows = [{**row, "output": " " + row["output"]} for row in rows_with([], "alpaca")]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"".join(as_json(row, False) + b"\n" for row in rows))
    report = check([file], CheckOptions(method="sft", heuristics=False))
    assert report.verdict == "pass"
    assert [finding.message for finding in report.findings] == [
        "120 of 120 rows have odd_space, so that it seems to be meant"
    ]
