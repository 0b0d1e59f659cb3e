"""A search space, and the combinations of values that come of it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Annotated

from pydantic import Field

from ftsdk.errors import SpecError
from ftsdk.spec.base import Part

SEED = "seed"
"""Key of the spec by which repetitions of a combination differ."""
MAX_JOBS = 1000
"""Jobs of one sweep."""

Changes = Mapping[str, object]
"""Key of the spec, such as `tuning.rank` -> its value in one job."""


class ParameterRange(Part):
    """Numbers from `low` to `high`, both included; whole numbers if both are."""

    low: int | float
    high: int | float
    log: bool = False
    """Draw the logarithm uniformly, as is usual for learning rates."""

    def draw(self, random: Random) -> int | float:
        """One number, with four significant digits if it is no whole one."""
        if isinstance(self.low, int) and isinstance(self.high, int) and not self.log:
            return random.randint(self.low, self.high)
        if self.log:
            drawn = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = random.uniform(self.low, self.high)
        number = min(self.high, max(self.low, float(f"{drawn:.4g}")))
        return round(number) if isinstance(self.low, int) and isinstance(self.high, int) else number


Values = Annotated[Sequence[object], Field(min_length=1)]
Grid = Mapping[str, Values]
Ranges = Mapping[str, ParameterRange]


def check(grid: Grid, ranges: Ranges, count: int | None) -> None:
    """Raise SpecError for a space that is empty, infinite or contradicts itself."""
    if not grid and not ranges:
        raise SpecError(
            "The search space is empty: name values with --grid KEY=A,B or a range with --range KEY=LOW,HIGH."
        )
    if both := grid.keys() & ranges.keys():
        raise SpecError(f"{min(both)} has both values and a range: keep one of them.")
    for key, bounds in ranges.items():
        if bounds.low >= bounds.high or (bounds.log and bounds.low <= 0):
            rule = "0 < low < high for a logarithmic one" if bounds.log else "low < high"
            raise SpecError(f"The range of {key} is empty (low {bounds.low:g}, high {bounds.high:g}): give {rule}.")
    if ranges and count is None:
        raise SpecError(f"The range of {min(ranges)} has infinitely many values: say how many jobs with --random N.")
    if (size := count or grid_size(grid)) > MAX_JOBS:
        raise SpecError(f"The sweep has {size} jobs and a sweep has at most {MAX_JOBS}: draw some with --random N.")


def grid_size(grid: Grid) -> int:
    """Number of combinations."""
    return math.prod(len(values) for values in grid.values())


def combinations(grid: Grid, ranges: Ranges, *, count: int | None = None, seed: int = 0) -> Iterator[dict[str, object]]:
    """Every combination of a grid, or `count` drawn ones: without repeats where there are no ranges.

    The same seed draws the same ones. Raises SpecError as `check` does.
    """
    check(grid, ranges, count)
    random = Random(seed)
    if count is None:
        yield from (_combination(grid, index) for index in range(grid_size(grid)))
    elif not ranges:
        yield from (_combination(grid, index) for index in _drawn(random, grid_size(grid), count))
    else:
        for _ in range(count):
            chosen = _combination(grid, random.randrange(grid_size(grid)))
            yield {**chosen, **{key: bounds.draw(random) for key, bounds in ranges.items()}}


def _drawn(random: Random, size: int, count: int) -> list[int]:
    """`count` different numbers below `size`, which may be huge, or all of them."""
    drawn: dict[int, None] = {}
    while len(drawn) < min(size, count):
        drawn[random.randrange(size)] = None
    return list(drawn)


def _combination(grid: Grid, index: int) -> dict[str, object]:
    """The combination with an index; the last key changes fastest."""
    chosen: dict[str, object] = {}
    for key, values in reversed(list(grid.items())):
        index, place = divmod(index, len(values))
        chosen[key] = values[place]
    return {key: chosen[key] for key in grid}


def as_words(changes: Changes) -> str:
    """`learning_rate=0.0001 tuning.rank=8`."""
    return " ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changes.items())
