"""The demo: a whole training on this machine, from nothing, through the public API.

It makes the data (`rows`) and the model (`model`), trains (`training`), and asks the result a question (`answer`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypedDict

from ftsdk.errors import NotInstalledError

if TYPE_CHECKING:
    from ftsdk.demo.rows import DemoData
    from ftsdk.jobs.job import Job
    from ftsdk.jobs.metrics import MetricRecords
    from ftsdk.terminal.progress import JobProgress

QUESTION = "What does str.isupper do?"
"""So small a model learns within minutes how such answers begin, not what every function does."""
Y_LABEL = "loss (nats per token)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo made and measured. Losses are cross-entropies in nats per token of an answer."""

    first_loss: float
    """Training loss at the start: mean of the first logged values (three, or half of them if there are fewer)."""
    last_loss: float
    """Training loss at the end: mean of as many last values."""
    eval_loss_before: float
    """Held-out loss before the first step."""
    eval_loss_after: float
    """Held-out loss after the last step."""
    job: str
    """URI of the job."""
    model: str
    """URI of the model."""
    seconds: float
    """Seconds that everything took."""
    question: str
    answer: str
    """What the trained model says to the question."""
    chart_png: str | None
    """The loss curve; None without matplotlib."""


class MadeModel(TypedDict):
    """What `model.py` prints."""

    parameters: int
    seconds_per_step: float


def run_demo(*, steps: int | None = None, stream: TextIO | None = None) -> DemoResult:
    """Make data and model, train on this machine, evaluate before and after, and ask the model a question.

    Args:
        steps: optimizer steps; by default as many as fit into about two minutes at the speed measured on this
            machine, from 200 to 600.
        stream: where the progress is shown; standard error if left out.

    Everything lies in `$FTSDK_HOME/demo` and the job's own folder. Raises NotInstalledError without the trainer and
    JobFailedError if the training fails.
    """
    from ftsdk.home import home_dir
    from ftsdk.terminal.progress import JobProgress

    began, folder = time.monotonic(), home_dir() / "demo"
    with JobProgress(stream or sys.stderr) as progress:
        data = _make_data(folder, progress)
        fitting_steps = _make_model(folder / "model", data, progress)
        job = _train(folder / "model", data, steps or fitting_steps, progress)
    model = job.result()
    metrics = job.metrics()
    losses, held_out = _series(metrics, "loss"), _series(metrics, "eval_loss")
    few = max(1, min(3, len(losses) // 2))
    return DemoResult(
        first_loss=_mean(losses[:few]),
        last_loss=_mean(losses[-few:]),
        eval_loss_before=held_out[0],
        eval_loss_after=held_out[-1],
        job=job.uri,
        model=model.uri,
        chart_png=_draw(metrics, folder / "loss.png"),
        question=QUESTION,
        answer=json.loads(_run("answer.py", str(model.path), QUESTION))["answer"],
        seconds=round(time.monotonic() - began, 1),
    )


def summary(result: DemoResult) -> str:
    """The result as text: the loss curve and the answers."""
    from ftsdk import Job
    from ftsdk.terminal.charts import terminal_chart

    facts = {
        "Training loss": f"{result.first_loss:.2f} → {result.last_loss:.2f}",
        "Held-out loss": f"{result.eval_loss_before:.2f} → {result.eval_loss_after:.2f}",
        "Question": result.question,
        "Answer": result.answer,
        "Chart": result.chart_png or "pip install 'ftsdk[plot]' draws one",
        "Job": result.job,
        "Model": result.model,
        "Took": f"{result.seconds:.0f} s",
    }
    width = max(map(len, facts))
    lines = (f"{name:<{width}}  {text}".replace("\n", "\n" + " " * (width + 2)) for name, text in facts.items())
    size = shutil.get_terminal_size()
    chart = terminal_chart(Job.attach(result.job).metrics(), width=min(size.columns, 100))
    return "\n".join([chart, "", *lines])


def _make_data(folder: Path, progress: JobProgress) -> DemoData:
    from ftsdk.demo.rows import write_rows

    progress.phase("making the data")
    data = write_rows(folder / "data")
    progress.line(
        f"Made {data.num_train:,} questions and answers out of Python's own documentation, and {data.num_eval} more "
        f"that are held out: {folder / 'data'}"
    )
    return data


def _make_model(folder: Path, data: DemoData, progress: JobProgress) -> int:
    """Make it, and return how many training steps fit into the demo's time on this machine."""
    from ftsdk.demo.training import BATCH_SIZE, CUTOFF_TOKENS, steps_within

    progress.phase("making the model")
    size = ("--batch-size", str(BATCH_SIZE), "--tokens", str(CUTOFF_TOKENS))
    made: MadeModel = json.loads(_run("model.py", str(folder), str(data.train), *size))
    progress.line(
        f"Made a Llama with {made['parameters'] / 1e6:.1f} million random weights and its tokenizer: {folder}"
    )
    return steps_within(made["seconds_per_step"])


def _train(model: Path, data: DemoData, steps: int, progress: JobProgress) -> Job:
    """Run the job and show it; Ctrl-C stops the job too."""
    from ftsdk import Estimator
    from ftsdk.demo.training import demo_spec
    from ftsdk.jobs.live import background

    job = Estimator(**demo_spec(model, data, steps=steps), backend="local").fit(wait=False, again=True)
    progress.line(f"Started {job.uri}")
    progress.view.background = background(job)
    try:
        for event in job.events(follow=True):
            progress.event(event)
    except KeyboardInterrupt:
        job.cancel()
        raise
    return job


def _draw(metrics: Iterable[Mapping[str, object]], path: Path) -> str | None:
    from ftsdk.terminal.charts import save_png

    try:
        return str(save_png(metrics, path, title="A small Llama learns Python's documentation", y_label=Y_LABEL))
    except NotInstalledError:
        return None  # the training is not lost for a picture


def _run(script: str, *arguments: str) -> str:
    """The JSON that a script of this package prints, run by the interpreter that has the trainer (and no ftsdk)."""
    from ftsdk.backends.local import trainer_python
    from ftsdk.demo.training import thread_settings

    environment = {**os.environ, **thread_settings()}
    argv = [trainer_python(), "-P", str(Path(__file__).with_name(script)), *arguments]
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    except OSError as problem:
        raise _no_trainer(script, argv[0], str(problem.strerror)) from problem
    except subprocess.CalledProcessError as problem:
        why = (problem.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise _no_trainer(script, argv[0], why) from problem
    return done.stdout.splitlines()[-1]


def _no_trainer(script: str, python: str, why: str) -> NotInstalledError:
    return NotInstalledError(
        f"The demo's {script} failed in {python} ({why}): run `make setup`; `ftsdk doctor` shows what is missing."
    )


def _series(metrics: MetricRecords, name: str) -> list[float]:
    return [value for record in metrics if isinstance(value := record.get(name), int | float)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
