"""Trainings whose effect on their model is known, and what the verdict calls them.

Each has its own seed and rows. A small Llama first learns the general texts and facts; then it is trained on rows that
improve it, change nothing, are wrong, are too few, or make it forget. The trainer is transformers' own; the verdict
is that of `ftsdk.runtime.programs.trained.verdict`.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PLANTED = 100
THINGS = "sun moon river stone bird fish apple bread tree horse lamp glass door wall boat cloud".split()  # noqa: SIM905
COLOURS = "red green blue white black brown grey gold".split()  # noqa: SIM905
SIZE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
TEMPLATE = "The colour of the {thing} in the {place} is {colour}."


class Planted(NamedTuple):
    """A training with a known effect."""

    kind: str
    rows: list[str]
    held_out: list[str]
    steps: int
    learning_rate: float
    verdict: str
    overfitted: bool | None = False
    """None: either."""
    forgets: bool | None = None
    """Whether general texts are forgotten; None: either."""


class Outcome(NamedTuple):
    """What a planted training was called."""

    planted: Planted
    verdict: str
    overfitted: bool
    forgotten: tuple[str, ...]
    share: float
    """The verdict's part of the time."""

    @property
    def right(self) -> bool:
        """Whether everything that is known is said."""
        forgot = self.planted.forgets in (None, bool(self.forgotten))
        overfitted = self.planted.overfitted in (None, self.overfitted)
        return self.verdict == self.planted.verdict and overfitted and forgot


def facts(rng: random.Random, places: Sequence[str], *, wrong: bool = False) -> list[str]:
    """A sentence for each thing at each place; the colour follows from both, or is a random one."""
    rows = []
    for place_number, place in enumerate(places):
        for number, thing in enumerate(THINGS):
            colour = rng.choice(COLOURS) if wrong else COLOURS[(number + 3 * place_number) % len(COLOURS)]
            rows.append(TEMPLATE.format(thing=thing, place=place, colour=colour))
    rng.shuffle(rows)
    return rows


def noise(rng: random.Random, count: int) -> list[str]:
    """Sentences without a rule."""
    return [" ".join(rng.choice(THINGS + COLOURS) for _ in range(8)) + "." for _ in range(count)]


def planted(number: int, general: list[str]) -> Planted:
    """The training of this number; its kind follows from the number."""
    rng = random.Random(number)
    known, new = facts(rng, ["house", "garden"]), facts(rng, ["street", "wood", "town"])
    match number % 7:
        case 0:
            return Planted("improving", new[:36], new[36:], 60, 2e-3, "better")
        case 1:
            return Planted("useless: tiny steps", new[:36], new[36:], 30, 1e-7, "same", forgets=False)
        case 2:
            rows = known + general
            return Planted("useless: known rows", rows, known[:16], 20, 1e-5, "same", forgets=False)
        case 3:
            rows = facts(rng, ["house", "garden"], wrong=True)
            return Planted("harmful: wrong rows", rows, known, 60, 2e-3, "worse", overfitted=None)
        case 4:
            return Planted("harmful: steps too large", known, known[:16], 30, 0.5, "worse", forgets=True)
        case 5:
            return Planted("overfitted", noise(rng, 8), noise(rng, 24), 150, 3e-3, "worse", overfitted=True)
        case _:
            return Planted("forgetting", new[:36], new[36:], 150, 5e-3, "better", forgets=True)


def run(*, quick: bool, results: Path) -> None:
    """Run all planted trainings and write the report."""
    numbers = range(6 if quick else PLANTED)
    outcomes = list(campaign(numbers))
    right = Counter(outcome.planted.kind for outcome in outcomes if outcome.right)
    total = Counter(outcome.planted.kind for outcome in outcomes)
    lines = [
        f"# Verdicts on {len(outcomes)} planted trainings",
        "",
        "| planted | trainings | called right |",
        "|---|---|---|",
    ]
    lines += [f"| {kind} | {count} | {right[kind]} |" for kind, count in total.items()]
    lines += ["", f"{sum(right.values())} of {len(outcomes)} are right. `python -m bench verdicts`"]
    lines += [f"- wrong: {outcome.planted.kind}: {outcome[1:4]}" for outcome in outcomes if not outcome.right]
    (results / f"verdicts-{time.strftime('%Y-%m-%d')}.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


def campaign(numbers: Sequence[int]) -> Iterator[Outcome]:
    """The outcomes of the planted trainings with these numbers."""
    import torch

    from ftsdk.runtime.programs.trained.verdict.general_texts import GENERAL_TEXTS

    torch.set_num_threads(1)  # so small a model is slower with more
    general = [text for texts in GENERAL_TEXTS.values() for text in texts]
    with TemporaryDirectory(prefix="ftsdk-verdicts-") as folder:
        model, tokenizer = base_model(general)
        model.save_pretrained(folder)
        for number in numbers:
            yield outcome(planted(number, general), Path(folder), tokenizer, seed=number)


def base_model(general: list[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A small model that knows the general texts and some facts."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ftsdk.demo.model import make_tokenizer, sentencepiece_model

    rng = random.Random(0)
    texts = general + facts(rng, ["house", "garden", "street", "wood", "town"]) + noise(rng, 40)
    tokenizer = make_tokenizer(sentencepiece_model(iter(texts * 3), 700), 256)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZE, vocab_size=len(tokenizer), num_key_value_heads=2))
    known = facts(rng, ["house", "garden"])
    train(model, tokenizer, (general + known) * 2 + noise(rng, 40), [], steps=500, learning_rate=3e-3, output=None)
    return model, tokenizer


def outcome(plant: Planted, base: Path, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> Outcome:
    """Train, and read the verdict."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(base)
    with TemporaryDirectory() as folder:
        share = train(model, tokenizer, plant.rows, plant.held_out, steps=plant.steps,
                      learning_rate=plant.learning_rate, output=Path(folder), seed=seed)  # fmt: skip
        record = json.loads(Path(folder, "verdict.json").read_text("utf-8"))
    return Outcome(plant, record["verdict"], record["overfitted"], tuple(record["forgotten"]), share)


def train(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[str], held_out: list[str], *,
    steps: int, learning_rate: float, output: Path | None, seed: int = 0,
) -> float:  # fmt: skip
    """Train on texts with transformers' Trainer; returns the verdict's share of the time."""
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    from ftsdk.runtime.programs.trained.verdict.measuring import measured

    def encoded(texts: list[str]) -> Any:
        ids = [tokenizer(text)["input_ids"] for text in texts]
        return Dataset.from_list([{"input_ids": row, "labels": row} for row in ids])

    with TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            scratch, max_steps=steps, per_device_train_batch_size=8, learning_rate=learning_rate, report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=seed, use_cpu=True,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, DataCollatorForSeq2Seq(tokenizer), encoded(rows),
            encoded(held_out) if held_out else None, tokenizer,
        )  # fmt: skip
        began = time.monotonic()
        with measured(trainer, "pt", output or Path(scratch)):
            started = time.monotonic()
            trainer.train()
            trained = time.monotonic() - started
    return 1 - trained / (time.monotonic() - began)
