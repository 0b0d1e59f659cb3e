"""Which combinations of values come of a search space; no job is started."""

import pytest

from ftsdk import ParameterRange, SpecError
from ftsdk.studies import space

GRID = {"learning_rate": [1e-5, 1e-4], "tuning.rank": [8, 16, 32]}


def test_a_grid_is_every_combination_the_last_key_fastest():
    found = list(space.combinations(GRID, {}))
    assert len(found) == 6
    assert found[0] == {"learning_rate": 1e-5, "tuning.rank": 8}
    assert found[1] == {"learning_rate": 1e-5, "tuning.rank": 16}
    assert found[-1] == {"learning_rate": 1e-4, "tuning.rank": 32}


def test_drawn_combinations_of_a_grid_never_repeat_and_follow_the_seed():
    huge = {f"k{number}": list(range(1000)) for number in range(10)}
    first = list(space.combinations(huge, {}, count=20, seed=1))
    assert first == list(space.combinations(huge, {}, count=20, seed=1))
    assert first != list(space.combinations(huge, {}, count=20, seed=2))
    drawn = list(space.combinations(GRID, {}, count=100, seed=3))
    assert sorted(map(str, drawn)) == sorted(map(str, space.combinations(GRID, {})))


def test_ranges_are_drawn_within_their_bounds():
    rate, rank = ParameterRange(low=1e-5, high=1e-3, log=True), ParameterRange(low=4, high=64)
    drawn = list(space.combinations({"seed": [1, 2]}, {"learning_rate": rate, "tuning.rank": rank}, count=200))
    assert all(1e-5 <= one["learning_rate"] <= 1e-3 and one["seed"] in (1, 2) for one in drawn)
    assert {type(one["tuning.rank"]) for one in drawn} == {int}
    below = sum(one["learning_rate"] < 1e-4 for one in drawn)
    assert 70 < below < 130  # half of the decades, where a linear draw would have 9 % there


@pytest.mark.parametrize(
    ("grid", "ranges", "count", "message"),
    [
        ({}, {}, None, "empty"),
        ({}, {"learning_rate": ParameterRange(low=0.1, high=0.2)}, None, "infinitely many"),
        ({}, {"learning_rate": ParameterRange(low=0.2, high=0.1)}, 3, "low < high"),
        ({}, {"learning_rate": ParameterRange(low=0.0, high=0.1, log=True)}, 3, "0 < low"),
        ({"seed": [1]}, {"seed": ParameterRange(low=0, high=9)}, 3, "both values and a range"),
        ({"seed": list(range(2000))}, {}, None, "at most 1000"),
    ],
)
def test_a_space_that_is_no_space_is_refused(grid, ranges, count, message):
    with pytest.raises(SpecError, match=message):
        list(space.combinations(grid, ranges, count=count))
