"""How far a converted model's predictions are from those of the model it was made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PROBES = (
    "What is the capital of France, and what is it known for?",
    "Write a Python function that returns the n-th Fibonacci number.",
    "请用三句话介绍一下人工智能。",
    "Translate into German: The weather is nice today.",
    "A shop sells 12 apples for 3 dollars. How much do 20 apples cost?",
    "Summarise in one sentence why the sky is blue.",
    '{"name": "Ada", "year": 1815, "languages": ["English", "French"]}',
    "Qu'est-ce que la photosynthèse ?",
)
"""Texts of several kinds: chat, code, Chinese, numbers, JSON."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Kullback-Leibler divergence of the next-token distributions, in nats per token."""

    mean_kl: float
    max_kl: float
    """The largest mean over one probe."""
    num_tokens: int

    def to_json(self) -> dict[str, float]:
        """JSON data."""
        return asdict(self)


POSITIONS = 32
"""Last positions of a row that are compared: the distributions over a large vocabulary need memory."""


def probes(tokenizer: Any) -> list[list[int]]:
    """Token ids of texts for a model without held-out rows, in its chat template where it has one."""
    if tokenizer.chat_template is None:
        return [tokenizer(text)["input_ids"] for text in PROBES]
    chats = [[{"role": "user", "content": text}] for text in PROBES]
    return [tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False) for chat in chats]


def log_probabilities(model: Any, rows: list[list[int]]) -> list[Any]:
    """For each row, the log-probabilities of the next token at its last positions, as a float32 tensor on the CPU."""
    import torch

    with torch.inference_mode():
        inputs = (torch.tensor([row], device=model.get_input_embeddings().weight.device) for row in rows)
        return [torch.log_softmax(model(input_ids=ids).logits[0, -POSITIONS:].float(), -1).cpu() for ids in inputs]


def compare(before: list[Any], after: list[Any]) -> Fidelity:
    """The divergence of `after` from `before`, as `log_probabilities` returns them; padded vocabulary is left out."""
    means, tokens = [], []
    for old, new in zip(before, after, strict=True):
        size = min(old.shape[-1], new.shape[-1])
        old, new = old[:, :size], new[:, :size]
        divergence = (old.exp() * (old - new)).sum(-1)
        means.append(max(float(divergence.mean()), 0.0))  # equal distributions give a rounding error of either sign
        tokens.append(len(old))
    total = sum(tokens)
    return Fidelity(sum(mean * count for mean, count in zip(means, tokens, strict=True)) / total, max(means), total)
