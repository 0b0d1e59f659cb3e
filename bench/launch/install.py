"""What an installation weighs."""

from __future__ import annotations

from collections.abc import Iterable

from bench.launch.environments import Environment
from bench.launch.timing import Measure, Row, load


def measure(environments: Iterable[Environment]) -> Measure:
    """Size and number of packages of every environment."""
    rows = [
        Row(
            who=env.name,
            value=env.size_mb,
            note=f"{env.packages} packages: pip install {' '.join(env.peer.requirements) or '.'}",
        )
        for env in environments
    ]
    return Measure(
        title="Installation",
        about="Disk blocks of a fresh virtual environment with the package, less those of an empty one; bytecode "
        "included. One MB is 10⁶ bytes.",
        rows=tuple(rows),
        unit="MB",
        target="ftsdk ≤ 120 MB",
        load=load(),
    )
