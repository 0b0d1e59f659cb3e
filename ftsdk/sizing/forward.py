"""Memory and time of forward passes: what merging, evaluating and generating need. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.sizing.architecture.shapes import ModelShape
from ftsdk.sizing.catalogue import Card, card_of, cards
from ftsdk.sizing.estimate import Estimate, shape_of, with_guess
from ftsdk.sizing.memory.terms import CONSTANTS, GIB, Memory, Term
from ftsdk.sizing.price.offers import Fit, fit
from ftsdk.sizing.time.throughput import HIGH, LOW, OPERATIONS_PER_LAYER, RATES
from ftsdk.spec import Evaluate, Export, Generate, JobSpec, Merge, Serve, Train
from ftsdk.spec.program import ANSWER_METRICS

WEIGHT_BYTES, CACHE_BYTES, LOGIT_BYTES = 2, 2, 8
"""16-bit weights and cache; logits in 16 bits, their 32-bit copy and half of another for the softmax."""
NO_TIME = "time: it depends on the speed of the disk that the weights are read from and written to"
MAIN_MEMORY = "this machine's main memory"
EARLY_END = 0.5
"""Assumed share of the permitted tokens that an answer has."""
RANGE_NOTE = (
    "time: rows one after the other in transformers, from the card's published rates, not measured on a card; answers "
    "of half the permitted tokens are assumed, of all of them for the slow end and of none for the fast one"
)


class Work(NamedTuple):
    """What a program computes, over all rows and models."""

    rows: int
    """Forward passes over a row."""
    tokens_per_row: float
    answer_tokens: int
    """Tokens of all answers at most."""


def work_of(spec: JobSpec, num_rows: int | None, mean_tokens: float | None) -> Work | None:
    """The work of an evaluation or a generation over this many rows; None if it is not known."""
    program = spec.program
    if num_rows is None or mean_tokens is None:
        return None
    if isinstance(program, Generate):
        return Work(num_rows, mean_tokens, num_rows * program.max_new_tokens)
    if isinstance(program, Evaluate):
        passes = num_rows * (2 if program.against else 1) * (2 if spec.method.stage == "dpo" else 1)
        answers = passes if ANSWER_METRICS & set(program.metrics) else 0
        return Work(passes, min(mean_tokens, spec.hyperparameters.cutoff_len), answers * program.max_new_tokens)
    return None


def estimate_forward(
    spec: JobSpec,
    config: ModelConfig | None,
    card: str | None,
    *,
    num_rows: int | None = None,
    mean_tokens: float | None = None,
) -> Estimate:
    """Estimate a program that trains nothing, from the number of rows that it reads and their mean length.

    Raises SpecError for a card that ftsdk does not know.
    """
    shape, source = shape_of(spec, config)
    known_card = card_of(card) if card else None
    if shape is None:
        return Estimate(model_source=source, card=card, unknown=(f"model: {source}; give its config.json",))
    memory = forward_memory(shape, tokens=spec.hyperparameters.cutoff_len, rows=1)
    work = work_of(spec, num_rows, mean_tokens)
    hours = _hours(shape, known_card, work) if known_card and work else None
    low, middle, high = hours or (None, None, None)
    fits = fit(memory, known_card, shape.spread)
    estimate = Estimate(
        parameters=shape.parameters.total,
        model_source=source,
        memory=memory,
        fits=fits,
        card=known_card.name if known_card else None,
        usable_gib=known_card.usable_gib if known_card else None,
        next_cards=_cards_for(memory) if fits == "no" else (),
        hours=middle,
        hours_low=low,
        hours_high=high,
        notes=(RANGE_NOTE,) if hours else (),
        unknown=() if hours or isinstance(spec.program, Serve) else (_why_no_time(spec, known_card, work),),
    )
    return with_guess(estimate, shape)


def on_main_memory(spec: JobSpec, estimate: Estimate, memory_gib: float | None) -> Estimate:
    """The estimate of a program on a CPU, held against the machine's main memory."""
    needed = estimate.memory
    if needed is None or memory_gib is None or isinstance(spec.program, Train | Merge | Export):
        return estimate  # merging and exporting read file by file
    fits: Fit = "yes" if needed.total_gib <= memory_gib else "no"
    larger = () if fits == "yes" else _cards_for(needed)
    return replace(estimate, fits=fits, card=MAIN_MEMORY, usable_gib=memory_gib, next_cards=larger)


def _cards_for(memory: Memory) -> tuple[str, ...]:
    """Up to three accelerators, smallest first, that have this memory."""
    by_size = sorted(set(cards().values()), key=lambda card: card.usable_gib)
    return tuple(card.name for card in by_size if memory.total_gib <= card.usable_gib)[:3]


def _why_no_time(spec: JobSpec, card: Card | None, work: Work | None) -> str:
    if isinstance(spec.program, Merge | Export):
        return NO_TIME
    if card is None:
        return "accelerator: give resources.accelerator, or a machine type, to know the time"
    return "time: the rows are not on this machine" if work is None else f"time: {card.name}'s peak is not published"


def _hours(shape: ModelShape, card: Card, work: Work) -> tuple[float, float, float] | None:
    """Fast end, middle and slow end; None where the card's rates are not known."""
    if not card.tflops or not card.bandwidth_gb_s:
        return None
    launches_s = shape.num_layers * OPERATIONS_PER_LAYER * RATES.operation_us / 1e6
    weights_s = WEIGHT_BYTES * shape.active_linear / (card.bandwidth_gb_s * 1e9)
    share = dict(RATES.matrix_share)[card.generation]
    computed_s = 2 * shape.active_linear * work.tokens_per_row / (card.tflops * share * 1e12)
    reading_s = work.rows * max(launches_s, weights_s, computed_s)
    answering_s = work.answer_tokens * max(launches_s, weights_s)
    seconds = (reading_s / HIGH, reading_s + EARLY_END * answering_s, (reading_s + answering_s) / LOW)
    return seconds[0] / 3600, seconds[1] / 3600, seconds[2] / 3600


def forward_memory(shape: ModelShape, *, tokens: int, rows: int) -> Memory:
    """Memory of a forward pass over `rows` sequences of `tokens` tokens with the key-value cache of all layers."""
    keys = 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim
    terms = (
        Term("weights", WEIGHT_BYTES * shape.parameters.total, "16 bits each"),
        Term("key-value cache", CACHE_BYTES * keys * tokens * rows, f"{tokens} tokens in {shape.num_layers} layers"),
        Term("logits", LOGIT_BYTES * shape.vocab_size * tokens * rows, f"{shape.vocab_size} for each token"),
        Term("context", round(CONSTANTS.context_gib * GIB), "CUDA context, library workspaces"),
    )
    return Memory(terms, "forward pass")
