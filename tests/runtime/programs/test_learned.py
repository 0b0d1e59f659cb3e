"""A training says in its log what is unusual in the labels that its loss gets."""

from types import SimpleNamespace

import pytest

from ftsdk.runtime.programs.preview import learned

BOS, EOS = 1, 2
GOOD = {"input_ids": [5, 6, EOS], "labels": [-100, 6, EOS]}


def said(rows, capsys, *, is_zero=True):
    tokenizer = SimpleNamespace(bos_token_id=BOS, eos_token_id=EOS, all_special_ids=[BOS, EOS])
    trainer = SimpleNamespace(train_dataset=rows, processing_class=tokenizer, is_world_process_zero=lambda: is_zero)
    learned.report(trainer, cutoff_len=8)
    return capsys.readouterr().out.splitlines()


def test_good_rows_are_not_mentioned(capsys):
    assert said([GOOD] * 3, capsys) == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"input_ids": [5, 6], "labels": [-100, -100]}, "1 row has nothing that is learned"),
        ({"input_ids": [BOS, BOS, EOS], "labels": [-100, -100, EOS]}, "1 row has two begin-of-text tokens"),
        ({"input_ids": [5, 6], "labels": [-100, 6]}, "1 row has no end-of-text token that is learned"),
        (
            {"chosen_input_ids": [5, EOS], "chosen_labels": [-100, EOS], "rejected_input_ids": [5, 6],
             "rejected_labels": [-100, 6]},
            "1 row has no end-of-text token that is learned",
        ),
    ],
)  # fmt: skip
def test_unusual_rows_give_a_warning_with_their_number(row, says, capsys):
    (line,) = said([GOOD, row], capsys)
    assert line.startswith(f"ftsdk: warning: of the first 2 tokenised rows, {says}") and "(first: row 2)" in line


def test_only_rank_zero_warns_and_streams_are_not_read(capsys):
    row = {"input_ids": [5, 6], "labels": [-100, -100]}
    assert said([row], capsys, is_zero=False) == [] and said(iter([row]), capsys) == []
