"""Metrics of an evaluation: each row gives numbers that are added up, and the sums give the metric's value.

Because of that a metric of resampled rows costs one addition, and confidence intervals are paired bootstraps over rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sums: TypeAlias = NDArray[np.float64]
    Numbers: TypeAlias = Sequence[Sequence[float]] | Sums

RESAMPLES, CONFIDENCE, SEED = 1000, 0.95, 0
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Answer(NamedTuple):
    """What the model made of one row."""

    loss: float = 0.0
    """Sum over the tokens that the training's loss counts."""
    num_tokens: int = 0
    margin: float = 0.0
    """Log-probability of the chosen answer minus that of the rejected one, in nats."""
    text: str = ""
    reference: str = ""
    won: float = 0.0
    """1 where a judge calls the model's answer the better one, 0.5 for a tie."""


class Metric(NamedTuple):
    """How a metric is made of rows."""

    of_rows: Callable[[Sequence[Answer]], Numbers]
    """Rows -> a matrix with a line of numbers for each."""
    of_sums: Callable[[Sums], float]
    """The sums of the columns -> the value."""
    higher_is_better: bool = True
    generates: bool = False
    """Whether the model has to answer the rows."""


class MetricComparison(NamedTuple):
    """A metric's value, and how it stands to that of another model on the same rows."""

    value: float
    against: float | None = None
    low: float | None = None
    high: float | None = None
    """95 % interval of `value - against`."""
    verdict: str = ""
    """`better`, `worse`, `same` (the interval holds 0), or empty without another model."""


def measure(metric: Metric, rows: Sequence[Answer], others: Sequence[Answer] | None = None) -> MetricComparison:
    """The metric on the rows, compared with another model's answers to the same rows if there are any."""
    import numpy as np

    numbers = np.asarray(metric.of_rows(rows), dtype=float)
    value = metric.of_sums(numbers.sum(0))
    if others is None:
        return MetricComparison(value)
    theirs = np.asarray(metric.of_rows(others), dtype=float)
    random = np.random.default_rng(SEED)
    differences = []
    for _ in range(RESAMPLES):
        chosen = random.integers(len(numbers), size=len(numbers))
        differences.append(metric.of_sums(numbers[chosen].sum(0)) - metric.of_sums(theirs[chosen].sum(0)))
    low, high = (float(np.quantile(differences, q)) for q in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return MetricComparison(
        value, metric.of_sums(theirs.sum(0)), low, high, _verdict(low, high, metric.higher_is_better)
    )


def _verdict(low: float, high: float, higher_is_better: bool) -> str:
    if low <= 0 <= high:
        return "same"
    return "better" if (low > 0) is higher_is_better else "worse"


# --- from the model's probabilities -------------------------------------------------------------------------
def _losses(rows: Sequence[Answer]) -> list[tuple[float, int]]:
    return [(row.loss, row.num_tokens) for row in rows]


def _ratio(sums: Sums) -> float:
    return float(sums[0] / max(sums[1], 1))


def _perplexity(sums: Sums) -> float:
    import math

    return math.exp(min(_ratio(sums), 700.0))


def _mean_of(value: Callable[[Answer], float]) -> Callable[[Sequence[Answer]], list[tuple[float, int]]]:
    return lambda rows: [(value(row), 1) for row in rows]


# --- from its answers ---------------------------------------------------------------------------------------
def _label(text: str) -> str:
    return " ".join(text.split()).casefold()


def _exact(row: Answer) -> float:
    return float(row.text.strip() == row.reference.strip())


def _correct(row: Answer) -> float:
    return float(_label(row.text) == _label(row.reference))


def _confusion(rows: Sequence[Answer]) -> Sums:
    """For each label of the references: true positives, false positives, false negatives."""
    import numpy as np

    labels = {label: number for number, label in enumerate(sorted({_label(row.reference) for row in rows}))}
    counts = np.zeros((len(rows), 3 * len(labels)))
    for line, row in zip(counts, rows, strict=True):
        given, right = labels.get(_label(row.text)), labels[_label(row.reference)]
        if given == right:
            line[3 * right] = 1
            continue
        line[3 * right + 2] = 1
        if given is not None:
            line[3 * given + 1] = 1
    return counts


def _macro(over: tuple[float, float]) -> Callable[[Sums], float]:
    """Mean over labels of `tp / (tp + a·fp + b·fn)`: precision (1, 0), recall (0, 1), F1 (½, ½)."""

    def value(sums: Sums) -> float:
        true, false, missed = sums[0::3], sums[1::3], sums[2::3]
        below = true + over[0] * false + over[1] * missed
        return float((true / below.clip(1e-12)).mean())

    return value


def _bleu_rows(rows: Sequence[Answer]) -> list[list[float]]:
    from sacrebleu.metrics import BLEU

    bleu = BLEU(tokenize=bleu_tokenizer(rows), effective_order=True)
    scores = [bleu.sentence_score(row.text, [row.reference]) for row in rows]
    return [[*score.counts, *score.totals, score.sys_len, score.ref_len] for score in scores]


def _bleu(sums: Sums) -> float:
    from sacrebleu.metrics import BLEU

    counts = [int(number) for number in sums]
    return float(BLEU.compute_bleu(counts[:4], counts[4:8], counts[8], counts[9]).score)


def bleu_tokenizer(rows: Sequence[Answer]) -> str:
    """sacrebleu's tokenizer: `zh` where a reference has Chinese characters, else its default."""
    return "zh" if any(CHINESE.search(row.reference) for row in rows) else "13a"


def _rouge_rows(kind: str) -> Callable[[Sequence[Answer]], list[tuple[float, int]]]:
    def rows_of(rows: Sequence[Answer]) -> list[tuple[float, int]]:
        score = _chinese_rouge(kind) if bleu_tokenizer(rows) == "zh" else _english_rouge(kind)
        return [(score(row), 1) for row in rows]

    return rows_of


def _english_rouge(kind: str) -> Callable[[Answer], float]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([kind])
    return lambda row: float(scorer.score(row.reference, row.text)[kind].fmeasure)


def _chinese_rouge(kind: str) -> Callable[[Answer], float]:
    """Over characters, since Chinese writes no spaces."""
    from rouge_chinese import Rouge

    rouge, name = Rouge([kind.replace("rouge", "rouge-").lower()]), kind.replace("rouge", "rouge-").lower()

    def score(row: Answer) -> float:
        given, right = (" ".join(text.replace(" ", "")) for text in (row.text, row.reference))
        return float(rouge.get_scores(given, right)[0][name]["f"]) if given and right else 0.0

    return score


METRICS: dict[str, Metric] = {
    "loss": Metric(_losses, _ratio, higher_is_better=False),
    "perplexity": Metric(_losses, _perplexity, higher_is_better=False),
    "preference_accuracy": Metric(_mean_of(lambda row: float(row.margin > 0)), _ratio),
    "margin": Metric(_mean_of(lambda row: row.margin), _ratio),
    "win_rate": Metric(_mean_of(lambda row: row.won), _ratio),
    "exact_match": Metric(_mean_of(_exact), _ratio, generates=True),
    "accuracy": Metric(_mean_of(_correct), _ratio, generates=True),
    "precision": Metric(_confusion, _macro((1.0, 0.0)), generates=True),
    "recall": Metric(_confusion, _macro((0.0, 1.0)), generates=True),
    "f1": Metric(_confusion, _macro((0.5, 0.5)), generates=True),
    "bleu": Metric(_bleu_rows, _bleu, generates=True),
    **{kind: Metric(_rouge_rows(kind), _ratio, generates=True) for kind in ("rouge1", "rouge2", "rougeL")},
}
