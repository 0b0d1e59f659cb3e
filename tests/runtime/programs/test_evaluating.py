"""Evaluation metrics against the libraries that define them, and planted differences between two models."""

import random

import pytest

from ftsdk.runtime.programs.trained.metrics import METRICS, Answer, measure

pytestmark = pytest.mark.trainer
WORDS = "the cat sat on a red mat and saw two birds fly over green hills".split()  # noqa: SIM905


def answers(seed=0, count=40):
    """Answers that share some words with their references."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        reference = [rng.choice(WORDS) for _ in range(12)]
        text = [word if rng.random() < 0.7 else rng.choice(WORDS) for word in reference]
        rows.append(Answer(rng.uniform(5, 9), 12, rng.uniform(-1, 2), " ".join(text), " ".join(reference)))
    return rows


def test_bleu_is_that_of_sacrebleu():
    from sacrebleu.metrics import BLEU

    rows = answers()
    expected = BLEU(tokenize="13a").corpus_score([row.text for row in rows], [[row.reference for row in rows]]).score
    assert measure(METRICS["bleu"], rows).value == pytest.approx(expected, abs=1e-6)


def test_chinese_bleu_counts_characters():
    from sacrebleu.metrics import BLEU

    rows = [Answer(text="今天天气很好我们去公园", reference="今天天气真好我们去公园吧")] * 2
    expected = BLEU(tokenize="zh").corpus_score([r.text for r in rows], [[r.reference for r in rows]]).score
    assert measure(METRICS["bleu"], rows).value == pytest.approx(expected, abs=1e-6)
    assert 0.8 < measure(METRICS["rouge1"], rows).value < 1


def test_rouge_is_that_of_rouge_score():
    from rouge_score.rouge_scorer import RougeScorer

    rows, scorer = answers(), RougeScorer(["rougeL"])
    scores = [scorer.score(row.reference, row.text)["rougeL"].fmeasure for row in rows]
    assert measure(METRICS["rougeL"], rows).value == pytest.approx(sum(scores) / len(scores))


@pytest.mark.parametrize(
    ("name", "expected"), [("accuracy", 0.6), ("precision", 5 / 9), ("recall", 0.5), ("f1", 22 / 45)]
)
def test_labels(name, expected):
    """Computed manually: yes has 2 of 2 right and is given 3 times, no 1 of 2, maybe 0 of 1 and is never given."""
    given = [("Yes", "yes"), ("yes ", "yes"), ("no", "no"), ("yes", "no"), ("what?", "maybe")]
    rows = [Answer(text=text, reference=reference) for text, reference in given]
    assert measure(METRICS[name], rows).value == pytest.approx(expected)


def test_loss_is_a_mean_over_tokens_and_perplexity_its_exponential():
    rows = [Answer(loss=2.0, num_tokens=1), Answer(loss=2.0, num_tokens=3)]
    assert measure(METRICS["loss"], rows).value == 1.0
    assert measure(METRICS["perplexity"], rows).value == pytest.approx(2.718281828)


@pytest.mark.parametrize(("shift", "verdict"), [(-0.5, "better"), (0.5, "worse")])
def test_a_known_difference_is_detected(shift, verdict):
    others = answers(count=80)
    rows = [row._replace(loss=row.loss + shift + random.Random(n).uniform(-1, 1)) for n, row in enumerate(others)]
    measured = measure(METRICS["loss"], rows, others)
    assert measured.verdict == verdict
    assert measured.low < measured.value - measured.against < measured.high


def test_noise_gives_no_verdict():
    """At most 5 of 100 comparisons of equal models may find one; twice that is allowed here."""
    found = 0
    for seed in range(40):
        others, rng = answers(seed), random.Random(seed + 1000)
        rows = [row._replace(loss=row.loss + rng.gauss(0, 1)) for row in others]
        found += measure(METRICS["loss"], rows, others).verdict != "same"
    assert found <= 6
