"""What the first rows ask a training for."""

from __future__ import annotations

import json

from ftsdk.data.formats.files import DataFile
from ftsdk.data.statistics import asked


def counted(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return asked.measure(DataFile(path=path))


def chat(*contents):
    roles = ("user", "assistant") * 3
    return {"messages": [{"role": r, **c} for r, c in zip(roles, contents, strict=False)]}


def test_rows_are_counted_with_the_first_of_each_kind(tmp_path):
    quiet, bad = {"content": "no", "weight": 0}, chat({"content": ""}, {"content": "b"})
    rows = counted(
        tmp_path, bad, chat({"content": "<s>a"}, quiet), chat({"content": "a"}, quiet, *[{"content": "c"}] * 2)
    )
    assert rows.num_rows == 2  # one breaks the rules
    assert rows.counts == {
        asked.ALL: (2, 2), asked.NO_SYSTEM: (2, 2), f"{asked.QUESTION_OPENS}<s>": (1, 2), asked.UNLEARNED: (1, 2),
        asked.LAST_UNLEARNED: (1, 2), asked.LEARNED: (1, 3), asked.LAST_LEARNED: (1, 3),
    }  # fmt: skip


def test_pairs_have_an_answer_without_earlier_ones(tmp_path):
    pair = {"prompt": "a", "chosen": "<think>\nb\n</think>\n\nc", "rejected": "d"}
    assert counted(tmp_path, pair).counts.keys() >= {asked.THOUGHTS, asked.LEARNED}
    assert counted(tmp_path, {"text": "a b c"}) is None
