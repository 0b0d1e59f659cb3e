"""The launcher beside its peers: start-up, jobs, logs, plans, installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.launch import docker, environments, install, jobs, logs, report, sagemaker, startup
from bench.launch.environments import Environment
from bench.launch.timing import Measure

SEVERAL, FEW = 7, 3
"""Runs of what takes tenths of a second, and of what takes seconds."""
LINES, QUICK_LINES = 1_000_000, 2_000


def run(*, quick: bool, results: Path = report.RESULTS) -> None:
    """Measure everything, print the report and keep it. `quick` takes ftsdk alone as it is installed here, once."""
    where = report.machine()
    with TemporaryDirectory(prefix="ftsdk-bench-") as folder:
        found = [environments.here()] if quick else [environments.ours(), *map(environments.of, environments.PEERS)]
        measures = []
        for measure in _measures({env.name: env for env in found}, Path(folder), quick):
            print("\n".join(report.table(measure)), end="\n\n", flush=True)
            measures.append(measure)
    page = report.write(measures, {env.name: env.version for env in found}, where, results)
    print(f"Written to {page} and {page.with_suffix('.json').name}.")


def _with_extra(envs: dict[str, Environment], quick: bool) -> dict[str, Environment]:
    """ftsdk with what its sagemaker backend takes."""
    return envs if quick else {**envs, "ftsdk": environments.ours("sagemaker")}


def _measures(envs: dict[str, Environment], folder: Path, quick: bool) -> Iterator[Measure]:
    several, few = (1, 1) if quick else (SEVERAL, FEW)
    lines = QUICK_LINES if quick else LINES
    yield from startup.measures(envs.values(), folder, several)
    if not quick:
        yield install.measure(envs.values())
    yield jobs.plans(envs, folder, few)
    yield jobs.processes(envs, folder, several)
    yield from logs.processes(envs, folder, few, lines)
    yield sagemaker.submits(_with_extra(envs, quick), folder, few)
    image = None if quick else docker.image()
    if image:
        yield jobs.containers(envs, folder, several, image)
        yield from logs.containers(envs, folder, few, lines, image)
    elif not quick:
        print("Docker is left out: no daemon answers, or it lacks ftsdk's image (`ftsdk image build`).\n")
