"""How long a command line takes to show its help, and a program to import what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from bench.launch.environments import OURS, Environment
from bench.launch.programs import apart
from bench.launch.timing import Measure, Timing, in_turn, load, process


def measures(environments: Iterable[Environment], folder: Path, runs: int) -> list[Measure]:
    """Help and imports of every environment, our own beside what Python and click alone take."""
    environments, home = list(environments), apart(folder)
    own = next(e for e in environments if e.name == OURS.name)
    helps = {
        "python -c pass": _code(own.python, "pass", home),
        "python -c 'import click'": _code(own.python, "import click", home),
    }
    imports = {"python -c pass": _code(own.python, "pass", home)}
    for env in environments:
        if env.peer.command:
            helps[f"{env.peer.command} --help"] = partial(process, [env.script(env.peer.command), "--help"], home)
        for statement in filter(None, (env.peer.package, env.peer.face)):
            imports[statement] = _code(env.python, statement, home)
    return [
        Measure(
            title="Help",
            about="The command line's help, as a process of its own.",
            rows=in_turn(runs, helps),
            target="ftsdk --help ≤ 0.07 s",
            load=load(),
        ),
        Measure(
            title="Import",
            about="A Python process that imports the package, or what its users import, and ends.",
            rows=in_turn(runs, imports),
            target="import ftsdk ≤ 0.03 s",
            load=load(),
        ),
    ]


def _code(python: Path, statement: str, environment: Mapping[str, str]) -> Callable[[], Timing]:
    return partial(process, [python, "-c", statement], environment)
