"""ftsdk with a Python file in the trainer's place. `ftsdk_jobs.py nothing|print|plan FOLDER BACKEND RUNS [LINES]`.

A user cannot choose another trainer: the file is put into a finished plan, which is why this works only here.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from stopwatch import Run, answer, counted, timed

from ftsdk import Estimator, Job
from ftsdk.jobs.submit import submit

HERE = Path(__file__).parent
PLAN_FOR_S = 1.0


def main(verb: str, folder: str, backend: str, runs: str, lines: str = "0") -> None:
    """Do what the verb says and report to the benchmark."""
    estimator = _estimator(Path(folder), backend, {"BENCH_LINES": lines})
    {"nothing": _nothing, "print": _print, "plan": _plan}[verb](estimator, int(runs))


def _estimator(folder: Path, backend: str, env: dict[str, str]) -> Estimator:
    """Small inputs of every kind that a plan looks at. The programs travel as files of the model."""
    model = folder / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text('{"model_type": "qwen2"}', "utf-8")
    for program in ("nothing.py", "print_lines.py"):
        shutil.copy(HERE / program, model)
    rows = [{"instruction": f"What is {i}?", "output": f"It is {i}."} for i in range(100)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return Estimator(name="bench", model="model", dataset="train.jsonl", env=env, folder=folder, backend=backend)


def _nothing(estimator: Estimator, runs: int) -> None:
    """From the spec to the end of a job, as `fit` does it, with the default wait."""
    answer([timed(lambda: _finished(estimator, "nothing.py")) for _ in range(runs)])


def _print(estimator: Estimator, _runs: int) -> None:
    """A job that prints; its lines, read after its end; and the lines of a second one, followed while it prints."""
    jobs: list[Job] = []
    answer([timed(lambda: jobs.append(_finished(estimator, "print_lines.py")))])
    answer(*counted(lambda: _texts(jobs[0])))
    answer(*counted(lambda: _texts(_submitted(estimator, "print_lines.py"))))


def _texts(job: Job) -> Iterator[str]:
    return (line.text for line in job.logs(follow=True))


def _plan(estimator: Estimator, runs: int) -> None:
    """Seconds that one plan takes, each figure over a second's worth of them."""
    facts = estimator.inspect()

    def planned() -> Run:
        number, began, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < PLAN_FOR_S:
            estimator.plan(facts)
            number += 1
        return (time.perf_counter() - began) / number, (time.process_time() - cpu) / number

    answer([planned() for _ in range(runs)])


def _finished(estimator: Estimator, program: str) -> Job:
    job = _submitted(estimator, program)
    info = job.wait()
    if info.reason:
        raise SystemExit(f"{job.uri}: {info.message}")
    return job


def _submitted(estimator: Estimator, program: str) -> Job:
    plan = estimator.plan(estimator.inspect(again=True))
    inside = PurePosixPath(plan.trainer_config["model_name_or_path"])
    document = {**plan.document, "trainer": str(inside / program)}
    return submit(replace(plan, document=document), estimator.backend, secrets={}, on_attach=print)


if __name__ == "__main__":
    main(*sys.argv[1:])
