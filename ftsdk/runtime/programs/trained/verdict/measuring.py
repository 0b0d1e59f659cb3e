"""Measures the model of a training before its first and after its last step."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from ftsdk.contract.lineage import VERDICT_FILE, EvaluationSample, MeasuredMetric, VerdictRecord, verdict_sentence
from ftsdk.runtime.programs.trained.evaluator import EncodedRow, answer, encoded, sample
from ftsdk.runtime.programs.trained.metrics import METRICS, Answer, MetricComparison, measure
from ftsdk.runtime.programs.trained.verdict.general_texts import GENERAL_TEXTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer

    from ftsdk.contract.foreign import JsonObject

T = TypeVar("T")
STAGES = ("sft", "pt", "dpo")
"""Methods whose held-out rows say how good the model is without a reward."""
MAX_ROWS, MIN_ROWS, SHARE_OF_ROWS = 100, 16, 0.01
"""Held-out rows: a share of the rows that the training reads, within bounds. On a CPU a measured text costs 0.6 trained
rows and is measured twice: with the other texts that is below 5 % of a training of 4,000 rows and more."""
MAX_SEEN, NUM_SAMPLES, SAMPLE_TOKENS = 16, 2, 48
SMALLEST_CHANGE = {"loss": 0.01, "margin": 0.1}
"""Differences below it are called `same`, and so are those below 1 % of the value before."""
RELATIVE_CHANGE, FORGOTTEN = 0.01, 0.05
"""`FORGOTTEN`: by what share the loss of a kind of general text has risen."""


@dataclass(frozen=True, slots=True)
class MeasuredRows:
    """The rows of a verdict."""

    held_out: list[EncodedRow]
    seen: list[EncodedRow]
    """Some rows of the training."""
    general: dict[str, list[EncodedRow]]
    samples: int
    """How many held-out rows are answered, too."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a model makes of the rows."""

    held_out: list[Answer]
    seen: list[Answer]
    general: dict[str, list[Answer]]


@contextmanager
def measured(trainer: Trainer, stage: str, output: Path) -> Iterator[None]:
    """Measure a trainer's model on entry and on exit, and write the verdict into a folder.

    Without held-out rows, with several processes and for other methods there is none. What goes wrong is said and
    changes nothing in the training.
    """
    rows = _attempt(lambda: rows_of(trainer, stage))
    before = _attempt(lambda: measurement(trainer, rows)) if rows else None
    yield
    if rows and before and (after := _attempt(lambda: measurement(trainer, rows))):
        record = concluded(rows, before, after, tokenizer_of(trainer))
        (output / VERDICT_FILE).write_text(json.dumps(record, indent=1, ensure_ascii=False), "utf-8")
        sys.stdout.write(f"ftsdk: verdict: {verdict_sentence(record)}\n")


def _attempt(work: Callable[[], T]) -> T | None:
    try:
        return work()
    except Exception as problem:  # a model that cannot be measured is trained all the same
        sys.stdout.write(f"ftsdk: there is no verdict ({str(problem).strip().partition(chr(10))[0]:.200}).\n")
        return None


def tokenizer_of(trainer: Trainer) -> PreTrainedTokenizerBase:
    """The trainer's tokenizer, which a processor of images holds."""
    return getattr(trainer.processing_class, "tokenizer", trainer.processing_class)


# --- rows ---------------------------------------------------------------------------------------------------
def rows_of(trainer: Trainer, stage: str) -> MeasuredRows | None:
    """The rows of a verdict; None where there can be none."""
    held_out = _held_out(trainer.eval_dataset)
    if not held_out or stage not in STAGES or trainer.args.world_size > 1:
        return None
    if any(held_out[0].get(kind) for kind in ("images", "videos", "audios")):
        return None
    number = min(MAX_ROWS, max(MIN_ROWS, int(SHARE_OF_ROWS * _rows_read(trainer))))
    chosen = [held_out[i * len(held_out) // number] for i in range(number)] if number < len(held_out) else held_out
    tokenizer = tokenizer_of(trainer)
    general = {kind: [_text(tokenizer, text) for text in texts] for kind, texts in GENERAL_TEXTS.items()}
    seen = [encoded(row) for row in islice(trainer.train_dataset, MAX_SEEN)]
    return MeasuredRows([encoded(row) for row in chosen], seen, general, NUM_SAMPLES if stage == "sft" else 0)


def _held_out(dataset: object) -> list[JsonObject]:
    """The held-out rows, of one set or of several by their names; a stream of rows has none."""
    sets = dataset.values() if isinstance(dataset, Mapping) else [dataset]
    return [row for rows in sets if hasattr(rows, "__getitem__") for row in cast("Iterable[JsonObject]", rows)]


def _rows_read(trainer: Trainer) -> float:
    """How many rows the training reads."""
    arguments, dataset = trainer.args, trainer.train_dataset
    if arguments.max_steps > 0:
        return float(arguments.max_steps * arguments.train_batch_size * arguments.gradient_accumulation_steps)
    return float(arguments.num_train_epochs) * len(dataset) if hasattr(dataset, "__len__") else math.inf


def _text(tokenizer: PreTrainedTokenizerBase, text: str) -> EncodedRow:
    ids = list(tokenizer(text)["input_ids"])
    return EncodedRow(ids, ids)


# --- a measurement ------------------------------------------------------------------------------------------
def measurement(trainer: Trainer, rows: MeasuredRows) -> Measurement:
    """What the trainer's model makes of the rows now; neither its mode nor its random numbers change."""
    import torch

    model, tokenizer = trainer.model, tokenizer_of(trainer)
    was_training = model.training
    model.eval()
    try:
        with torch.random.fork_rng(), trainer.compute_loss_context_manager():
            tokens = [SAMPLE_TOKENS * (i < rows.samples) for i in range(len(rows.held_out))]
            return Measurement(
                [answer(model, tokenizer, row, n) for row, n in zip(rows.held_out, tokens, strict=True)],
                [answer(model, tokenizer, row) for row in rows.seen],
                {kind: [answer(model, tokenizer, row) for row in texts] for kind, texts in rows.general.items()},
            )
    finally:
        model.train(was_training)


# --- the conclusion -----------------------------------------------------------------------------------------
def concluded(
    rows: MeasuredRows, before: Measurement, after: Measurement, tokenizer: PreTrainedTokenizerBase
) -> VerdictRecord:
    """The verdict from the two measurements."""
    pairs = rows.held_out[0].rejected_ids is not None
    name = "margin" if pairs else "loss"
    names = ("margin", "preference_accuracy") if pairs else ("loss",)
    figures = {key: measure(METRICS[key], after.held_out, before.held_out) for key in names}
    verdict = word(name, figures[name])
    seen = word(name, measure(METRICS[name], after.seen, before.seen))
    answered = zip(rows.held_out, after.held_out, before.held_out, strict=True)
    return VerdictRecord(
        num_rows=len(rows.held_out),
        metrics={key: cast(MeasuredMetric, value._asdict()) for key, value in figures.items()},
        samples=[cast(EvaluationSample, sample(tokenizer, *three)) for three in islice(answered, rows.samples)],
        verdict=verdict,
        overfitted=verdict == "worse" and seen == "better",
        forgotten=dict(_forgotten(before, after)),
    )


def word(name: str, figures: MetricComparison) -> str:
    """`better`, `worse`, or `same` for a difference that may be chance or that is too small to matter."""
    against = figures.against or 0.0
    least = max(SMALLEST_CHANGE[name], RELATIVE_CHANGE * abs(against))
    return figures.verdict if abs(figures.value - against) >= least else "same"


def _forgotten(before: Measurement, after: Measurement) -> Iterator[tuple[str, float]]:
    for kind, texts in after.general.items():
        figures = measure(METRICS["loss"], texts, before.general[kind])
        rise = figures.value - (figures.against or 0.0)
        if figures.verdict == "worse" and rise >= FORGOTTEN * (figures.against or 0.0):
            yield kind, round(rise, 3)
