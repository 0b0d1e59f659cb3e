"""What a training is said to have done to its model."""

import json

import pytest

from ftsdk import contract
from ftsdk.contract.lineage import verdict_sentence
from ftsdk.runtime.programs.trained.evaluator import EncodedRow
from ftsdk.runtime.programs.trained.metrics import Answer
from ftsdk.runtime.programs.trained.verdict.measuring import MeasuredRows, Measurement, concluded
from ftsdk.testing import tiny
from tests.runtime.harness import Supervised

ROW = EncodedRow([1, 2], [1, 2])
PAIR = EncodedRow([1, 2], [1, 2], [1, 3], [1, 3])


def answers(*losses, margin=0.0):
    return [Answer(loss * 10, 10, margin + loss / 100) for loss in losses]


def judged(before, after, *, seen=(2.0, 2.0), general=(1.0, 1.0), row=ROW):
    """The verdict on held-out losses before and after, in nats per token."""
    rows = MeasuredRows([row] * len(before), [], {}, 0)
    first, second = (
        Measurement(held_out, answers(loss, loss + 0.1), {"code": answers(text, text * 1.1)})
        for held_out, loss, text in zip((before, after), seen, general, strict=True)
    )
    return concluded(rows, first, second, None)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        ((1.0, 1.5, 2.0, 1.8), "better"),
        ((4.0, 3.9, 4.5, 5.0), "worse"),
        ((1.0, 5.0, 1.2, 5.5), "same"),  # chance
        ((2.999, 3.099, 3.199, 3.299), "same"),  # certain, and too small to matter
    ],
)
def test_the_verdict_follows_from_the_held_out_rows(after, verdict):
    assert judged(answers(3.0, 3.1, 3.2, 3.3), answers(*after))["verdict"] == verdict


def test_worse_on_held_out_rows_and_better_on_seen_ones_is_overfitted():
    before, after = answers(3.0, 3.1, 3.2, 3.3), answers(4.0, 3.9, 4.5, 5.0)
    assert judged(before, after, seen=(2.0, 0.1))["overfitted"] is True
    assert judged(before, after, seen=(2.0, 3.0))["overfitted"] is False
    assert judged(after, before, seen=(2.0, 0.1))["overfitted"] is False


def test_general_texts_that_are_predicted_worse_are_forgotten():
    before, after = answers(3.0, 3.1, 3.2, 3.3), answers(1.0, 1.5, 2.0, 1.8)
    assert judged(before, after, general=(1.0, 1.03))["forgotten"] == {}
    record = judged(before, after, general=(1.0, 1.4))
    assert record["forgotten"] == {"code": 0.42}
    assert verdict_sentence(record) == (
        "Better than before the training on 4 held-out rows: loss 1.575, was 3.15. "
        "Forgotten: code (+0.42 nats per token)."
    )


def test_pairs_are_judged_by_their_margin():
    before, after = answers(1.0, 1.0, 1.0, margin=0.0), answers(1.0, 1.0, 1.0, margin=2.0)
    record = judged(before, after, row=PAIR)
    assert (record["verdict"], [*record["metrics"]]) == ("better", ["margin", "preference_accuracy"])


def train(root, folder, **options):
    root.mkdir()
    config = tiny.config(folder, val_size=0.25, learning_rate=1e-2, max_steps=20)
    run = Supervised(
        root,
        "llamafactory",
        python=tiny.TRAINER_PYTHON,
        config=config,
        dataset_info=tiny.dataset_info(folder),
        **options,
    )
    assert run.wait() == contract.EXIT_SUCCEEDED, run.lines()[-5:]
    return run


@pytest.mark.trainer
def test_a_training_ends_with_a_verdict_and_is_the_same_without_one(tmp_path, tiny_folder):
    judged_run = train(tmp_path / "judged", tiny_folder)
    record = json.loads((judged_run.durable / "model" / "verdict.json").read_text())
    assert (record["verdict"], record["num_rows"], record["overfitted"]) == ("better", 16, False)
    assert record["metrics"]["loss"]["high"] < 0
    assert [*record["samples"][0]] == ["prompt", "reference", "answer", "loss", "against", "against_loss"]
    assert any(verdict_sentence(record) in line for line in judged_run.lines())
    plain = train(tmp_path / "plain", tiny_folder, verdict=False)
    files = [run.durable / "model" / "adapter_model.safetensors" for run in (judged_run, plain)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not (plain.durable / "model" / "verdict.json").exists()
