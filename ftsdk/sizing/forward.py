"""Memory of a forward pass: what merging, evaluating and generating need. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftsdk.sizing.architecture.shapes import ModelShape
from ftsdk.sizing.catalogue import card_of
from ftsdk.sizing.estimate import Estimate, shape_of
from ftsdk.sizing.memory.terms import CONSTANTS, GIB, Memory, Term
from ftsdk.sizing.price.offers import fit
from ftsdk.spec import JobSpec

WEIGHT_BYTES, CACHE_BYTES, LOGIT_BYTES = 2, 2, 8
"""16-bit weights and cache; logits in 16 bits, their 32-bit copy and half of another for the softmax."""
NO_TIME = "time: the speed of this program is not modelled"


def estimate_forward(spec: JobSpec, config: Mapping[str, Any] | None, card: str | None) -> Estimate:
    """Estimate a program that trains nothing. The time is unknown.

    Raises SpecError for a card that ftsdk does not know.
    """
    shape, source = shape_of(spec, config)
    known_card = card_of(card) if card else None
    if shape is None:
        return Estimate(model_source=source, card=card, unknown=(f"model: {source}", NO_TIME))
    memory = forward_memory(shape, tokens=spec.hyperparameters.cutoff_len, rows=1)
    return Estimate(
        parameters=shape.parameters.total,
        model_source=source,
        memory=memory,
        fits=fit(memory, known_card),
        card=known_card.name if known_card else None,
        usable_gib=known_card.usable_gib if known_card else None,
        unknown=(NO_TIME,),
    )


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
