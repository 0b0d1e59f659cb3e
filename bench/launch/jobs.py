"""From the call to the end of a job that does nothing, as the caller sees it, and plans without a job."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.launch import docker
from bench.launch.environments import Environment
from bench.launch.programs import PROGRAMS, rows, warm
from bench.launch.timing import Measure, Row, in_turn, load, process

SLOW_RUNS = 4
"""For who waits ten seconds at a time."""
LAUNCHES = (
    ("ftsdk", "ftsdk", "ftsdk_jobs.py", ("local", "RUNS")),
    ("torchx (wait_interval=0.02)", "torchx", "torchx_jobs.py", ("RUNS", "0.02")),
    ("torchx", "torchx", "torchx_jobs.py", (str(SLOW_RUNS), "default")),
    ("submitit", "submitit", "submitit_jobs.py", ("RUNS",)),
    ("nemo-run", "nemo-run", "nemo_jobs.py", ("RUNS",)),
)
"""Who, whose environment, program, arguments."""


def processes(environments: dict[str, Environment], folder: Path, runs: int) -> Measure:
    """A null job as a process of this machine, with every launcher."""
    bare = [environments["ftsdk"].python, PROGRAMS / "nothing.py"]
    found = list(in_turn(runs, {"python nothing.py": partial(process, bare)}))
    for who, name, program, arguments in LAUNCHES:
        if name in environments:
            words = [str(runs + 1) if word == "RUNS" else word for word in arguments]
            found += map(warm, rows(who, environments[name], program, "nothing", *words, folder=folder))
    return Measure(
        title="A job that does nothing, as a process",
        about="In one process: from the call to the end that the caller sees, with the default wait. The job is an "
        "empty Python file; ftsdk's own start of `fit` (inspect, plan, submit) and its supervisor are included.",
        rows=tuple(found),
        target="ftsdk ≤ 0.25 s",
        load=load(),
    )


def containers(environments: dict[str, Environment], folder: Path, runs: int, image: str) -> Measure:
    """The same in Docker, with one image for all."""
    run = ["docker", "run", "--rm", "--pull", "never", "--entrypoint", "python", image, "-c", "pass"]
    found = [
        *in_turn(runs, {"docker run --rm": partial(process, run)}),
        *map(
            warm,
            rows("ftsdk", environments["ftsdk"], "ftsdk_jobs.py", "nothing", "docker", str(runs + 1), folder=folder),
        ),
    ]
    if "torchx" in environments:
        found += _torchx_containers(environments["torchx"], folder, runs, image)
    return Measure(
        title="A job that does nothing, as a container",
        about=f"The same with Docker, in the image {image}. Processor time is the client's alone, the daemon's is not "
        "in it.",
        rows=tuple(found),
        target="ftsdk ≤ docker run + 0.15 s",
        load=load(),
    )


def _torchx_containers(environment: Environment, folder: Path, runs: int, image: str) -> Iterator[Row]:
    """It leaves its containers behind, so they are cleared away."""
    with docker.without_entrypoint(image) as plain, docker.cleared("torchx.pytorch.org/app-id"):
        for who, count, wait in (
            ("torchx (wait_interval=0.02)", str(runs + 1), "0.02"),
            ("torchx", str(SLOW_RUNS), "default"),
        ):
            words = ("nothing", count, wait, plain)
            yield from map(warm, rows(who, environment, "torchx_jobs.py", *words, folder=folder))


def plans(environments: dict[str, Environment], folder: Path, runs: int) -> Measure:
    """Pure plans, one after the other in one process."""
    found = [
        row
        for backend in ("local", "docker")
        for row in rows(
            f"ftsdk, {backend}", environments["ftsdk"], "ftsdk_jobs.py", "plan", backend, str(runs), folder=folder
        )
    ]
    return Measure(
        title="Plans",
        about="Pure plans of one spec, one after the other in one process. Seconds are those of one plan.",
        rows=tuple(Row(who=row.who, runs=row.runs, note=f"{1 / row.wall_s:,.0f} plans per second") for row in found),
        target="≥ 1,000 plans per second",
        load=load(),
    )
