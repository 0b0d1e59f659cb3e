"""The simulated allocator: the rules of PyTorch's, and the two figures that the tables take from it."""

from __future__ import annotations

from random import Random
from statistics import fmean, median

from hypothesis import given
from hypothesis import strategies as st

from bench.sizing.allocator import (
    HELD_CUT,
    HELD_DROPPED,
    MIB,
    Allocator,
    cut,
    dropped,
    held_sets,
    one_length,
    simulated,
)
from ftsdk.sizing.memory.terms import CONSTANTS
from ftsdk.sizing.tables import shape_of_model

SMALL = "Qwen2.5-0.5B"


def test_segments_are_as_large_as_pytorch_makes_them():
    for size, segment in ((1, 2), (MIB, 2), (MIB + 1, 20), (9 * MIB, 20), (10 * MIB, 10), (11 * MIB, 12)):
        memory = Allocator()
        memory.take(size)
        assert memory.reserved == segment * MIB


def test_a_free_block_is_split_and_whole_again_when_its_neighbours_are_freed():
    memory = Allocator()
    memory.give(memory.take(40 * MIB))
    left, middle, right = (memory.take(size * MIB) for size in (10, 20, 10))
    assert memory.reserved == memory.used == 40 * MIB
    memory.give(left, right, middle)
    assert memory.take(40 * MIB).size == memory.reserved == 40 * MIB


def test_the_smallest_fitting_block_is_taken_and_a_longer_tensor_needs_a_new_one():
    memory = Allocator()
    large, small = memory.take(30 * MIB), memory.take(20 * MIB)
    memory.give(large, small)
    assert memory.take(19 * MIB + 1) is small
    memory.take(32 * MIB)
    assert memory.reserved == 82 * MIB


@given(st.lists(st.tuples(st.integers(1, 40 * MIB), st.booleans()), max_size=40))
def test_the_allocator_loses_no_memory(requests):
    memory, live = Allocator(), []
    for size, free in requests:
        live.append(memory.take(size))
        if free:
            memory.give(live.pop(len(live) // 2))
    assert memory.used == sum(block.size for block in live) <= memory.reserved
    memory.give(*live)
    assert memory.used == 0


def test_batches_of_one_length_hold_little_and_of_different_lengths_more():
    shape, random = shape_of_model(SMALL), Random(0)
    same = held_sets(shape, [512] * 20)
    assert same < 0.5
    assert held_sets(shape, [cut(random, 512) for _ in range(20)]) > same


def test_the_step_share_of_the_estimate_is_what_is_simulated():
    assert abs(fmean(one_length()) - CONSTANTS.allocator_step_share) < 0.01


def test_the_figures_of_the_tables_are_what_is_simulated():
    """A small model and few steps; the figures come from more of both, and spread widely from run to run."""
    few = {draw: median(simulated(draw, model=SMALL, limit=512, steps=50, runs=5)) for draw in (cut, dropped)}
    assert abs(few[cut] - HELD_CUT) < 0.7
    assert abs(few[dropped] - HELD_DROPPED) < 1.5
