"""What cutoff_len cuts is what LLaMA-Factory cuts."""

from __future__ import annotations

import json
import subprocess

import pytest

from ftsdk.data.formats.files import DataFile
from ftsdk.data.statistics.truncation import measure, shortened
from ftsdk.data.tokens.tokenizer import TOKENS_PER_TURN, TokenCounter
from ftsdk.testing.tiny import TRAINER_PYTHON

LENGTHS = [(p, a, r) for p in (1, 10, 60, 200) for a in (1, 20, 90, 300) for r in (8, 64, 128)]
ASK = """
import json, sys
from llamafactory.data.processor.processor_utils import infer_seqlen
print("ANSWER" + json.dumps([infer_seqlen(*case) for case in json.load(sys.stdin)]))
"""


@pytest.mark.trainer
def test_prompt_and_answer_share_the_room_as_in_llamafactory():
    done = subprocess.run(
        [TRAINER_PYTHON, "-c", ASK], input=json.dumps(LENGTHS), capture_output=True, text=True, check=True
    )
    assert [list(shortened(*case)) for case in LENGTHS] == json.loads(done.stdout.partition("ANSWER")[2])


class Words(TokenCounter):
    """A token for every word."""

    def count(self, texts):
        return [len(text.split()) for text in texts]


@pytest.fixture
def cut(tmp_path):
    def count(rows, cutoff_len, **shape):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return measure(DataFile(path=path, **shape), Words("words", True), cutoff_len)

    return count


def row(prompt, answer):
    return {"instruction": "w " * prompt, "input": "", "output": "w " * answer}


def test_prompts_and_answers_are_counted_apart(cut):
    found = cut([row(5, 5), row(90, 5), row(5, 90), row(90, 90)], 50 + 2 * TOKENS_PER_TURN)
    assert (found.num_rows, found.prompts, found.answers) == (4, 2, 2)
    assert found.longest == 180 + 2 * TOKENS_PER_TURN


def test_turns_beyond_the_cutoff_are_lost_answers(cut):
    chat = {"messages": [{"role": kind, "content": "w " * 20} for kind in ("user", "assistant") * 3]}
    assert (cut([chat], 200).answers, cut([chat], 60).answers) == (0, 1)


def test_the_longer_answer_of_a_pair_counts(cut):
    pair = {"prompt": "w " * 5, "chosen": "w " * 5, "rejected": "w " * 80}
    assert (cut([pair], 120).answers, cut([pair], 50).answers) == (0, 1)


def test_text_is_split_and_not_cut(cut):
    assert cut([{"text": "w " * 900}], 50) is None


def test_broken_rows_are_left_to_the_check(cut):
    assert cut([row(5, 5), {"instruction": "w", "input": "", "output": None}], 50).num_rows == 1
