"""Answering a file of prompts, interrupted after each row and resumed."""

import json

import pytest

from ftsdk import contract
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.programs.interruption import InterruptedTraining
from ftsdk.runtime.programs.trained import generator
from ftsdk.runtime.programs.trained.chat import Speaker
from ftsdk.runtime.programs.trained.loading import load_model, load_tokenizer

pytestmark = pytest.mark.trainer
PROMPTS = [[{"role": "user", "content": text}] for text in ("sun moon.", "river stone bird.", "one two three.")]
CONFIG = {"seed": 7, "settings": {"max_tokens": 6, "temperature": 1.0}}


class Stop:
    """What the program reads of a stop request."""

    def __init__(self, received):
        self.received = received


@pytest.fixture(scope="module")
def speaker(tiny_folder):
    config = {"model_name_or_path": str(tiny_folder / "model")}
    tokenizer = load_tokenizer(config)
    return Speaker(load_model(config, tokenizer), tokenizer, "model")


def test_interrupted_answers_are_those_of_a_run_in_one_piece(speaker, tmp_path, monkeypatch):
    monkeypatch.setenv(worker_protocol.ENV_EVENTS, str(tmp_path / "events"))
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    whole.mkdir()
    pieces.mkdir()
    generator.answer_all(speaker, PROMPTS, CONFIG, [], whole, Stop(False))
    done = []
    for count in (1, 2, 3):
        with pytest.raises(InterruptedTraining):
            generator.answer_all(speaker, PROMPTS, CONFIG, done, pieces, Stop(True))
        done = (pieces / f"checkpoint-{count}" / generator.ANSWERS).read_text("utf-8").splitlines()
        assert len(done) == count
    generator.answer_all(speaker, PROMPTS, CONFIG, done, pieces, Stop(False))
    answers = (whole / generator.ANSWERS).read_text("utf-8")
    assert (pieces / generator.ANSWERS).read_text("utf-8") == answers
    assert [json.loads(line)["messages"] for line in answers.splitlines()] == PROMPTS
    events = map(json.loads, (tmp_path / "events").read_text("utf-8").splitlines())
    assert [event["step"] for event in events if event["event"] == contract.EVENT_CHECKPOINT] == [1, 2, 3]
