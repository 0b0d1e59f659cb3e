"""ftsdk with a Python file in the trainer's place. `ftsdk_jobs.py VERB FOLDER BACKEND RUNS [IMAGE]`.

A user cannot choose another trainer: the file is put into a finished plan, which is why this works only here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from stopwatch import Run, answer, count, timed

from ftsdk import Estimator, Job
from ftsdk.job import submit
from ftsdk.plan import Plan

HERE = Path(__file__).parent
PLAN_FOR_S = 1.0


def main(verb: str, folder: str, backend: str, runs: str, *image: str) -> None:
    """Do what the verb says and tell the benchmark."""
    estimator = _estimator(Path(folder), backend, {"image": image[0]} if image else {})
    {"nothing": _nothing, "print": _print, "plan": _plan}[verb](estimator, int(runs))


def _estimator(folder: Path, backend: str, options: dict[str, Any]) -> Estimator:
    """Small inputs of every kind that a plan looks at."""
    model = folder / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text('{"model_type": "qwen2"}', "utf-8")
    rows = [{"instruction": f"What is {i}?", "output": f"It is {i}."} for i in range(100)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return Estimator(
        name="bench", model="model", dataset="train.jsonl", folder=folder, backend=backend, options=options
    )


def _nothing(estimator: Estimator, runs: int) -> None:
    """From the spec to the end of a job, as `fit` does it, with the default wait."""
    answer([timed(lambda: _submitted(estimator, "nothing.py").wait()) for _ in range(runs)])


def _print(estimator: Estimator, _runs: int) -> None:
    """Three times: the job that prints, its lines read after its end, and a second job followed while it prints."""
    jobs: list[Job] = []
    written = timed(lambda: jobs.append(_finished(estimator, "print_file.py")))
    answer([written])
    _read(lambda: jobs[0].logs(follow=True))
    _read(lambda: _submitted(estimator, "print_file.py").logs(follow=True))


def _read(logs: Callable[[], Any]) -> None:
    notes: list[str] = []
    answer([timed(lambda: notes.append(count((line.text for line in logs()), newline=1)))], notes[0])


def _plan(estimator: Estimator, _runs: int) -> None:
    """Seconds that one plan takes, once a second's worth of them."""
    facts = estimator.inspect()
    answer([_plans_per_run(lambda: estimator.plan(facts))])


def _plans_per_run(plan: Callable[[], Plan]) -> Run:
    plan()
    number, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < PLAN_FOR_S:
        plan()
        number += 1
    return (time.perf_counter() - began) / number, (time.process_time() - cpu) / number


def _finished(estimator: Estimator, program: str) -> Job:
    job = _submitted(estimator, program)
    info = job.wait()
    if info.message and info.reason:
        raise SystemExit(f"{job.uri}: {info.message}")
    return job


def _submitted(estimator: Estimator, program: str) -> Job:
    plan = estimator.plan(estimator.inspect(again=True))
    document = {**plan.document, "trainer": str(HERE / program)}
    return submit(replace(plan, document=document), estimator.backend, secrets={}, on_attach=print)


if __name__ == "__main__":
    main(*sys.argv[1:])
