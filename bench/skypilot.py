"""Commands on jobs that SkyPilot runs on Slurm: ftsdk beside `sky`. Needs tests/setup/slurm.sh."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.launch import report
from bench.launch.timing import Measure, Row, Timing, in_turn, load, process
from ftsdk import backends
from ftsdk.facts import inspect
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import in_durable_folder, new_label
from tests import slurm

RUNS = 5
LONG = "import time\nfor beat in range(1200): print('beat', beat, flush=True); time.sleep(0.5)"
SHORT = "for beat in range(1000): print('beat', beat)"
TARGET = "under 1.5 s beyond SkyPilot's own request"


def run(*, quick: bool, results: Path) -> None:
    """Measure, print and keep it as `skypilot-DATE.md` and `.json`."""
    where = report.machine()
    with TemporaryDirectory(prefix="ftsdk-bench-", dir="/tmp") as folder:
        os.environ |= {**slurm.ENVIRONMENT, "FTSDK_HOME": f"{folder}/home"}
        cluster = slurm.sky_up(new_label(), {"resources": {"infra": slurm.INFRA, "cpus": 8, "accelerators": "H100:2"}})
        try:
            measures = [_measure(cluster, Path(folder), 1 if quick else RUNS)]
        finally:
            slurm.sky_down(cluster)
    print("\n".join(report.table(measures[0])))
    versions = {"skypilot": slurm.ask_sky("import json, sky; print(json.dumps(sky.__version__))")}
    print(f"Written to {report.write(measures, versions, where, results, name='skypilot')}.")


def _measure(cluster: str, folder: Path, runs: int) -> Measure:
    start = _starter(cluster, folder)
    finished = start(SHORT)
    finished.wait(120)
    running = start(LONG)
    _begun(running)
    waiting = start(LONG)  # the one before it has the whole cluster
    rows = [
        *_looks(cluster, {"finished": finished, "running": running, "waiting": waiting}, runs),
        *in_turn(runs, {"ftsdk cancel, finished": _ftsdk("cancel", finished)}),
        Row(who="ftsdk cancel, waiting", runs=(_ftsdk("cancel", waiting)(),), note="once"),
        Row(who="ftsdk cancel, running", runs=tuple(_cancels(running, start, runs)), note="each on a job of its own"),
    ]
    return Measure(
        title="Commands on a job of SkyPilot's",
        about="Whole programs, from start to end, on jobs of a cluster that is up. A job that has begun is known from "
        "its own records; of one that waits SkyPilot is asked.",
        rows=tuple(rows),
        target=TARGET,
        load=load(),
    )


def _starter(cluster: str, folder: Path) -> Callable[[str], Job]:
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"model_type": "qwen2"}')
    rows = [{"instruction": f"What is {i}?", "input": "", "output": f"It is {i}."} for i in range(5)]
    (folder / "train.json").write_text(json.dumps(rows))
    options = {"cluster": cluster, "storage": str(slurm.BASE / "shared"), "shared": ("/tmp",)}
    backend = backends.get("skypilot", {**options, "python": sys.executable, "sky_python": str(slurm.PYTHON)})

    def start(source: str) -> Job:
        spec = parse({"name": new_label(), "model": "model", "dataset": "train.json"}, where="bench")
        plan = in_durable_folder(backend.plan(spec, inspect(spec, folder=folder)), source)
        return submit(plan, backend, secrets={}, on_attach=lambda info: None)

    return start


def _begun(job: Job) -> None:
    next(line for line in job.logs(follow=True) if line.text.startswith("beat"))


def _looks(cluster: str, jobs: Mapping[str, Job], runs: int) -> list[Row]:
    """What can be asked as often as one likes."""
    programs = {
        f"ftsdk {verb}, {state}": _ftsdk(verb, job)
        for state, job in jobs.items()
        for verb in ("status", "logs")
        if (verb, state) != ("logs", "waiting")
    }
    sky = slurm.PYTHON.with_name("sky")
    theirs = {
        "sky queue": lambda: process([sky, "queue", cluster]),
        "sky logs, finished": lambda: process([sky, "logs", cluster, "1", "--no-follow"]),
        "SkyPilot's own request (queue)": lambda: _request(cluster),
    }
    return list(in_turn(runs, {**programs, **theirs}))


def _cancels(running: Job, start: Callable[[str], Job], runs: int) -> Iterator[Timing]:
    for _ in range(runs):
        yield _ftsdk("cancel", running)()
        running.wait(120)
        running = start(LONG)
        _begun(running)
    running.cancel()


def _ftsdk(verb: str, job: Job) -> Callable[[], Timing]:
    program = Path(sys.executable).with_name("ftsdk")
    return lambda: process([program, verb, job.uri])


def _request(cluster: str) -> Timing:
    from ftsdk.backends.skypilot.api import ApiServer

    began = time.perf_counter()
    ApiServer(str(slurm.PYTHON)).ask("/queue", {"cluster_name": cluster, "all_users": True})
    return Timing(time.perf_counter() - began, 0.0)
