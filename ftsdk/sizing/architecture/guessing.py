"""Shapes for models of which only the size is known. They are guesses, and every estimate from one says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ftsdk.sizing.architecture.shapes import ModelShape

WIDTH_PER_LAYER: Final = 128
"""Hidden size over number of layers in published models of 1 to 100 billion parameters."""
SPREAD_OF_SIZE: Final = 1.4
"""Factor within which the memory of 9 of 10 bundled models lies, if it is guessed from the sizes in their names
(`tests/sizing/test_names.py` guesses them all)."""
SPREAD_OF_BASE: Final = 1.1
"""The same where a known model's name ends this one's: fine-tuning adds words to a vocabulary, seldom more."""
EXPERTS: Final = 64


def guessed_shape(total: float, active: float | None = None) -> ModelShape:
    """A Llama-like shape of about this many parameters; `active` of them for a token, in a mixture of experts."""
    mixed = active is not None and active < total
    shape = shape_of_count(active if mixed and active else total)
    words = f"{total / 1e9:.3g} billion parameters" + (f", {active / 1e9:.3g} active" if mixed and active else "")
    note = f"a guess: only the size in its name is known ({words}), counted as a Llama-like model"
    return replace(_with_experts(shape, total) if mixed else shape, notes=(note,), spread=SPREAD_OF_SIZE)


def shape_of_count(parameters: float) -> ModelShape:
    """A Llama-like dense shape of about this many parameters."""
    vocab = 32_000 if parameters < 5e8 else 128_000
    hidden = 1024.0
    for _ in range(20):  # 12 h² L with L = h / 128, plus two vocabulary matrices
        body = max(parameters - 2 * vocab * hidden, parameters / 2)
        hidden = (body * WIDTH_PER_LAYER / 12) ** (1 / 3)
    width = max(256, round(hidden / 128) * 128)
    layers = max(2, round((parameters - 2 * vocab * width) / (12 * width * width)))
    return ModelShape(
        model_type="unknown",
        hidden_size=width,
        num_layers=layers,
        num_heads=max(1, width // 128),
        num_kv_heads=max(1, width // 128),
        head_dim=128,
        intermediate_size=round(8 * width / 3),
        vocab_size=vocab,
    )


def _with_experts(shape: ModelShape, total: float) -> ModelShape:
    """The shape with its MLPs divided into experts, of which as many are used as make up the MLP that it had."""
    others = shape.parameters.total - shape.parameters.mlp
    width = (total - others) / (shape.num_layers * EXPERTS * 3 * shape.hidden_size)
    used = max(1, round(shape.intermediate_size / width))
    return replace(
        shape, num_experts=EXPERTS, experts_per_token=used, expert_intermediate_size=max(1, round(width)),
    )  # fmt: skip
