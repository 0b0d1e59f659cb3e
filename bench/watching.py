"""`ftsdk watch` over jobs that run in an emulated SageMaker or PAI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.launch import report
from bench.launch.timing import Measure, Row, Timing, load
from ftsdk.jobs import journal
from ftsdk.plan import Plan
from tests.backends.pai import account as pai_account
from tests.backends.sagemaker import account as sagemaker_account
from tests.emulators.dlc import DlcCloud
from tests.emulators.dlc_job import DlcJob
from tests.emulators.sagemaker import KEYS, SageMakerCloud
from tests.emulators.training_job import TrainingJob
from tests.golden import pai, sagemaker

JOBS = 200
WATCHER = """
import json, resource, sys, time
from ftsdk.jobs import resident
marks = []
def mark(seconds):
    used = resource.getrusage(resource.RUSAGE_SELF)
    marks.append([time.perf_counter(), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024])
    print(json.dumps(marks[-1]), flush=True)
    sys.stdin.readline()
    if len(marks) > 2: raise SystemExit
resident.time.sleep = mark
mark(0)
list(resident.watch())
"""
"""A line after each round: clock, processor seconds, peak memory in MB. Waits for a line before the next round."""


def run(*, quick: bool, results: Path) -> None:
    """Measure, print and keep it as `watch-DATE.md` and `.json`."""
    where = report.machine()
    count = 4 if quick else JOBS
    with TemporaryDirectory(prefix="ftsdk-bench-") as folder:
        rows = [row for backend in ("sagemaker", "pai") for row in _watched(Path(folder), backend, count)]
    measure = Measure(
        title=f"`ftsdk watch` over {count} running jobs",
        about="The first round and the second, on emulators on loopback; requests that the service got in brackets.",
        rows=tuple(rows),
        load=load(),
    )
    print("\n".join(report.table(measure)))
    print(f"Written to {report.write([measure], {}, where, results, name='watch')}.")


def _watched(folder: Path, backend: str, count: int) -> Iterator[Row]:
    os.environ["FTSDK_HOME"] = f"{folder}/{backend}"
    cloud, keys = _sagemaker(count) if backend == "sagemaker" else _pai(count)
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-c", WATCHER],
            env={**os.environ, **keys},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdin
        assert watcher.stdout
        last: list[float] = json.loads(watcher.stdout.readline())
        for name in ("first round", "second round"):
            before = Counter(cloud.calls)
            watcher.stdin.write("\n")
            watcher.stdin.flush()
            now: list[float] = json.loads(watcher.stdout.readline())
            calls = ", ".join(f"{number} {call}" for call, number in sorted((cloud.calls - before).items()))
            timing = Timing(now[0] - last[0], now[1] - last[1])
            yield Row(who=f"{backend}, {name}", runs=(timing,), note=f"peak {now[2]:.0f} MB ({calls})")
            last = now
        watcher.communicate("\n")
    finally:
        cloud.close()


def _sagemaker(count: int) -> tuple[SageMakerCloud, dict[str, str]]:
    cloud = SageMakerCloud()
    cloud.make_account()
    options = sagemaker_account.options(cloud).model_dump(mode="json")
    for plan in _submitted(sagemaker.REQUESTS["one-gpu"](), options, count):
        job = cloud.jobs[plan.native_name] = TrainingJob(plan.request, cloud)
        job.secondary = "Training"
    return cloud, KEYS


def _pai(count: int) -> tuple[DlcCloud, dict[str, str]]:
    cloud = DlcCloud()
    options = pai_account.options(cloud).model_dump(mode="json")
    for plan in _submitted(pai.REQUESTS["one-gpu"](), options, count):
        job = DlcJob(f"dlc{plan.name}", plan.request, cloud)
        job.status, cloud.jobs[job.id] = "Running", job
    return cloud, cloud.environment


def _submitted(plan: Plan, options: dict[str, object], count: int) -> Iterator[Plan]:
    """As many jobs in the journal, which the platform does not know."""
    for number in range(count):
        name = f"bench-{number:08x}"
        text = json.dumps(plan.request).replace(plan.name, name)
        job = replace(plan, name=name, uri=plan.uri.replace(plan.name, name), request=json.loads(text), options=options)
        journal.intend(job)
        journal.complete(job)
        yield job
