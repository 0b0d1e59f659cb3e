"""Rows for the benchmarks, made from a seed: words with the frequencies of a language (Zipf), a few faults."""

import json
import random
from itertools import accumulate
from pathlib import Path

SYLLABLES = "an be co da el fi go ha in jo ka lo mi no or pa qui re so ta un vi wa xe yo zu st er ou th".split()  # noqa: SIM905
VOCABULARY_SIZE = 20_000


class Words:
    """Random text; the n-th word of the vocabulary is drawn with a weight of 1/(n + 3)."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.words = ["".join(self.rng.choices(SYLLABLES, k=self.rng.randint(1, 4))) for _ in range(VOCABULARY_SIZE)]
        self.weights = list(accumulate(1 / (n + 3) for n in range(VOCABULARY_SIZE)))

    def text(self, least: int, most: int) -> str:
        words = self.rng.choices(self.words, cum_weights=self.weights, k=self.rng.randint(least, most))
        return " ".join(words).capitalize() + "."


def write_rows(path: Path, count: int, *, seed: int = 1) -> int:
    """Instruction rows of about 1 kB; one in a thousand has an empty answer. Gives the number of those."""
    words = Words(seed)
    empty = 0
    with path.open("w") as stream:
        for number in range(count):
            fault = number % 1000 == 999
            empty += fault
            row = {
                "instruction": words.text(20, 60),
                "input": "",
                "output": "" if fault else f"{words.text(60, 240)} \n{number}",
            }
            stream.write(json.dumps(row) + "\n")
    return empty
