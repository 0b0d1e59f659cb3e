"""PyTorch's caching allocator, simulated: what batches of different lengths leave reserved. No measurement enters.

A batch that is longer than all before it finds no free block that is large enough, so new segments are reserved for
its logits; small tensors then split the old ones. Reserved memory grows so until nothing longer comes, although the
run never needs more than one set. The rules are those of c10/cuda/CUDACachingAllocator.cpp in PyTorch 2 (default
settings): sizes in units of 512 bytes; segments of 2 MiB for up to 1 MiB, of 20 MiB for up to 10 MiB, else multiples
of 2 MiB; the smallest free block that is large enough, split where the rest is worth keeping; neighbours merged.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from math import log, sqrt
from random import Random
from statistics import fmean, median
from typing import Final

from ftsdk.sizing.architecture.shapes import ModelShape
from ftsdk.sizing.tables import shape_of_model

MIB: Final = 2**20
LOGIT_BYTES: Final = 12
"""One set of logits: what the backward pass of an ordinary loss needs at once (see `ftsdk.sizing.memory.terms`)."""
HELD_CUT: Final = 1.5
"""Sets of logits that stay reserved beyond need where longer rows are cut at the limit: median of 135 simulated runs
of nine settings (`python -m bench.sizing.allocator`); four of five lie between 0.3 and 3."""
HELD_DROPPED: Final = 3.5
"""The same where longer rows are dropped, so that lengths stay different up to the limit; four of five: 2 to 5.5."""


@dataclass(slots=True, eq=False)
class Block:
    """A piece of a segment. `before` and `after` are its neighbours there."""

    size: int
    small: bool
    free: bool = False
    before: Block | None = None
    after: Block | None = None


class Allocator:
    """Bytes in use and bytes reserved, and their highest values."""

    def __init__(self) -> None:
        self.used = self.most_used = self.reserved = 0
        self._order = count()
        self._free: dict[bool, list[tuple[int, int, Block]]] = {True: [], False: []}

    def take(self, size: float) -> Block:
        """Allocate so many bytes."""
        rounded = max(512, -(-int(size) // 512) * 512)
        block = self._fitting(rounded)
        rest = block.size - rounded
        if rest >= 512 if block.small else rest > MIB:
            self._split(block, rounded)
        self.used += block.size
        self.most_used = max(self.most_used, self.used)
        return block

    def give(self, *blocks: Block) -> None:
        """Free blocks, and merge each with its free neighbours."""
        for block in blocks:
            self.used -= block.size
            for other in (block.before, block.after):
                if other is not None and other.free:
                    self._absorb(block, other)
            self._shelve(block)

    def _fitting(self, size: int) -> Block:
        small = size <= MIB
        shelf = self._free[small]
        at = bisect_left(shelf, (size,))
        if at < len(shelf):
            block = shelf.pop(at)[2]
            block.free = False
            return block
        segment = 2 * MIB if small else 20 * MIB if size < 10 * MIB else -(-size // (2 * MIB)) * 2 * MIB
        self.reserved += segment
        return Block(segment, small)

    def _split(self, block: Block, size: int) -> None:
        rest = Block(block.size - size, block.small, before=block, after=block.after)
        if block.after is not None:
            block.after.before = rest
        block.size, block.after = size, rest
        self._shelve(rest)

    def _absorb(self, block: Block, other: Block) -> None:
        shelf = self._free[block.small]
        at = next(n for n in range(bisect_left(shelf, (other.size,)), len(shelf)) if shelf[n][2] is other)
        shelf.pop(at)
        block.size += other.size
        if other is block.before:
            block.before = other.before
            if block.before is not None:
                block.before.after = block
        else:
            block.after = other.after
            if block.after is not None:
                block.after.before = block

    def _shelve(self, block: Block) -> None:
        block.free = True
        insort(self._free[block.small], (block.size, next(self._order), block))


# --- a step of training ------------------------------------------------------------------------------
def micro_step(memory: Allocator, s: ModelShape, tokens: int) -> None:
    """The large tensors of a micro-step with adapters and recomputation, in the order of their making."""
    take, give = memory.take, memory.give
    hidden, wide = tokens * s.hidden_size, tokens * s.active_width
    inputs = [take(2 * hidden)]
    for _ in range(s.num_layers):
        *kept, output = _layer(memory, s, tokens)
        give(*kept)
        inputs.append(output)
    after = _loss(memory, s, tokens)
    for _ in range(s.num_layers):
        *kept, output = _layer(memory, s, tokens)
        give(output)
        branches = [take(2 * wide), take(2 * wide)]
        gradient = take(2 * hidden)
        give(*branches)
        projections = take(2 * tokens * (s.q_width + 2 * s.kv_width))
        before = take(2 * hidden)
        give(gradient, projections, after, *kept, inputs.pop())
        after = before
    give(after, *inputs)


def _layer(memory: Allocator, s: ModelShape, tokens: int) -> list[Block]:
    """What a layer makes; the last is its output."""
    hidden, wide = tokens * s.hidden_size, tokens * s.active_width
    projections = 2 * tokens * (s.q_width + 2 * s.kv_width)
    sizes = (4 * hidden, projections, 2 * hidden, 2 * hidden, 4 * hidden, 2 * wide, 2 * wide, 2 * wide, 2 * hidden)
    return [memory.take(size) for size in sizes]


def _loss(memory: Allocator, s: ModelShape, tokens: int) -> Block:
    """Logits, their fp32 copy and log-softmax, and back; what stays is the gradient of the hidden states."""
    take, give = memory.take, memory.give
    each = tokens * s.vocab_size
    logits = take(2 * each)
    upcast, softmax = take(4 * each), take(4 * each)
    give(upcast)
    returned = take(4 * each)  # the output that the Trainer turns into fp32
    give(logits, returned)
    of_loss, of_softmax = take(4 * each), take(4 * each)
    give(of_loss, softmax)
    narrow = take(2 * each)
    give(of_softmax)
    whole = take(2 * each)
    give(narrow)
    gradient = take(2 * tokens * s.hidden_size)
    give(whole)
    return gradient


# --- lengths -----------------------------------------------------------------------------------------
def dropped(random: Random, limit: int) -> int:
    """Length of a row of ms-swift's benchmark: log-normal, mean 3234 and deviation 2547 tokens, none over the limit."""
    variance = log(1 + (2547.5 / 3234.4) ** 2)
    while True:
        length = random.lognormvariate(log(3234.4) - variance / 2, sqrt(variance))
        if 91 <= length <= limit:
            return int(length)


def cut(random: Random, limit: int) -> int:
    """Length of a row where about every tenth is longer than the limit, and is cut there."""
    return min(limit, int(random.lognormvariate(log(limit) - 1.28 * 0.8, 0.8)) + 16)


def lost_share(s: ModelShape, length: int) -> float:
    """Bytes reserved beyond the most that was in use, over the latter, when all batches have one length."""
    memory = Allocator()
    for _ in range(4):
        micro_step(memory, s, length)
    return memory.reserved / memory.most_used - 1


def held_sets(s: ModelShape, lengths: Sequence[int]) -> float:
    """Bytes that stay reserved beyond the most that was in use, in sets of the longest batch's logits."""
    memory = Allocator()
    for length in lengths:
        micro_step(memory, s, length)
    return (memory.reserved - memory.most_used) / (LOGIT_BYTES * max(lengths) * s.vocab_size)


def simulated(
    length: Callable[[Random, int], int], *, model: str, limit: int, steps: int = 200, runs: int = 15
) -> list[float]:
    """`held_sets` of several runs with other rows."""
    shape = _shape(model)
    return sorted(
        held_sets(shape, [length(random, limit) for _ in range(steps)]) for random in map(Random, range(runs))
    )


def _shape(model: str) -> ModelShape:
    shape = shape_of_model(model)
    assert shape is not None
    return shape


def one_length() -> list[float]:
    """`lost_share` over models and lengths."""
    models = ("Qwen2.5-0.5B", "Qwen2.5-7B", "Llama-3.1-8B", "Llama-2-7b-hf", "Qwen2.5-32B", "gemma-2-9b")
    return sorted(lost_share(_shape(model), 256 << n) for model in models for n in range(6))


def main() -> None:
    """Print the table."""
    lost = one_length()
    sys.stdout.write(f"one length: mean {fmean(lost):.2f}, {lost[0]:.2f} to {lost[-1]:.2f}\n")
    everything: dict[str, list[float]] = {}
    for model in ("Qwen2.5-7B", "Llama-3.1-8B", "Llama-2-7b-hf"):
        for limit in (512, 1024, 2048):
            for draw in (cut, dropped):
                ratios = simulated(draw, model=model, limit=limit)
                everything.setdefault(draw.__name__, []).extend(ratios)
                words = f"{model:14} {limit:5} longer rows {draw.__name__:8}"
                sys.stdout.write(f"{words} median {median(ratios):.1f}, {ratios[1]:.1f} to {ratios[-2]:.1f}\n")
    for name, ratios in everything.items():
        sys.stdout.write(f"all, longer rows {name}: median {median(ratios):.2f}, mean {fmean(ratios):.2f}\n")


if __name__ == "__main__":
    main()
