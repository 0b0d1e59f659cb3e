"""What the first rows ask a training for."""

from __future__ import annotations

import json

from ftsdk.data.formats.files import DataFile
from ftsdk.data.statistics import row_features


def counted(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return row_features.measure(DataFile(path=path))


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
        row_features.ALL: (2, 2), row_features.NO_SYSTEM: (2, 2), f"{row_features.QUESTION_OPENS}<s>": (1, 2),
        row_features.UNLEARNED: (1, 2), row_features.LAST_UNLEARNED: (1, 2), row_features.LEARNED: (1, 3),
        row_features.LAST_LEARNED: (1, 3),
    }  # fmt: skip


def test_pairs_have_an_answer_without_earlier_ones(tmp_path):
    pair = {"prompt": "a", "chosen": "<think>\nb\n</think>\n\nc", "rejected": "d"}
    assert counted(tmp_path, pair).counts.keys() >= {row_features.THOUGHTS, row_features.LEARNED}
    assert counted(tmp_path, {"text": "a b c"}) is None
