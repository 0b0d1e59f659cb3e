"""The cost of checkpoints: seconds that they add, steps during a publish of a gigabyte, and steps that are lost."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, Literal

from bench.launch import report
from bench.resume import losses
from bench.resume.long import versions
from bench.resume.plain import Plain
from ftsdk import Estimator, contract
from ftsdk.jobs.job import Job

GIGABYTE = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 7, "vocab_size": 512}
"""Full tuning of such a Qwen2 leaves about 1 GB a checkpoint: four bytes of weights and eight of Adam's a parameter."""
CADENCE_S = 15 * 60.0
"""The cadence for which the relative cost is reported."""
LARGE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSize:
    """The extent of a measurement."""

    steps: int
    every: int
    rounds: int
    shape: Mapping[str, int]


FULL = MeasurementSize(steps=36, every=9, rounds=3, shape=GIGABYTE)
QUICK = MeasurementSize(steps=6, every=3, rounds=1, shape={})


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTraining:
    """One training, step by step."""

    who: str
    every: int
    ends: tuple[float, ...]
    """Seconds since the epoch at the end of each step."""
    publishes: tuple[tuple[float, float], ...] = ()
    """When each publish began and ended."""
    checkpoint_bytes: int = 0

    def times(self, what: Literal["quiet", "saving", "beside"]) -> list[float]:
        """Seconds of steps: of quiet ones, with the save behind a step, or beside a publish."""
        return [end - begin for number, (begin, end) in enumerate(pairwise(self.ends), 1)
                if self._what(number, begin, end) == what]  # fmt: skip

    def _what(self, number: int, begin: float, end: float) -> str:
        if not number % self.every:
            return "saving"
        return "beside" if any(start < end and begin < stop for start, stop in self.publishes) else "quiet"


def run(*, quick: bool, results: Path = report.RESULTS) -> None:
    """Measure, print and write the results."""
    size, where = QUICK if quick else FULL, report.machine()
    with TemporaryDirectory(prefix="ftsdk-resume-") as name:
        folder = Path(name)
        os.environ["FTSDK_HOME"] = str(folder / "home")
        from ftsdk.testing import tiny

        small = tiny.make(folder / "tiny")
        large = _grown(small, folder / "large", size.shape)
        runs = [one for number in range(size.rounds) for one in _round(large, folder, size, number)]
        lost = [] if quick else list(losses.measure(small, folder, size.rounds))
    page = _write(runs, lost, size, where, results)
    print(page.read_text("utf-8"))
    print(f"Written to {page} and {page.with_suffix('.json').name}.")


# --- trainings --------------------------------------------------------------------------------------------------
def _grown(small: Path, folder: Path, shape: Mapping[str, int]) -> Path:
    """The tiny model's folder with another shape; the trainer initializes the weights (`train_from_scratch`)."""
    shutil.copytree(small, folder)
    for weights in (folder / "model").glob("*.safetensors"):
        weights.unlink()
    config = folder / "model" / "config.json"
    read = json.loads(config.read_text("utf-8"))
    layers = {"layer_types": ["full_attention"] * shape["num_hidden_layers"]} if shape else {}
    config.write_text(json.dumps({**read, **shape, **layers}), "utf-8")
    return folder


def _round(large: Path, folder: Path, size: MeasurementSize, number: int) -> Iterator[MeasuredTraining]:
    """Both programs once, in turn."""
    yield _ours(large, f"cost-{number}", size)
    yield _theirs(large, folder / f"plain-{number}", size)


def _estimator(large: Path, label: str, size: MeasurementSize) -> Estimator:
    return Estimator(
        name=label,
        model=str(large / "model"),
        dataset=str(large / "train.json"),
        tuning="full",
        hyperparameters={
            "max_steps": size.steps,
            "logging_steps": 1,
            "cutoff_len": 32,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False,
            "train_from_scratch": True,
        },
        checkpoint={"every_steps": size.every, "keep": 4},
        env={"OMP_NUM_THREADS": "1"},
        backend="local",
    )


def _ours(large: Path, label: str, size: MeasurementSize) -> MeasuredTraining:
    job = _estimator(large, label, size).fit(wait=False)
    job.result()
    events = list(job.events())
    ends = tuple(event["time"] for event in events if event["event"] == contract.EVENT_METRICS and "loss" in event)
    commits = {event["step"]: event for event in events if event["event"] == contract.EVENT_COMMIT}
    made = MeasuredTraining(
        who="ftsdk",
        every=size.every,
        ends=ends,
        publishes=tuple(_publishes(job, commits)),
        checkpoint_bytes=max((event["bytes"] for event in commits.values()), default=0),
    )
    shutil.rmtree(job.document["durable"])
    return made


def _publishes(job: Job, commits: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[float, float]]:
    """Begin and end of each: a COMMIT holds the time at which it was written, its event how long it took."""
    for step, event in commits.items():
        path = Path(job.document["durable"], contract.checkpoint_key(step), contract.COMMIT_FILE)
        if path.is_file():
            end = float(json.loads(path.read_bytes())["time"])
            yield end - event["seconds"], end


def _theirs(large: Path, folder: Path, size: MeasurementSize) -> MeasuredTraining:
    plan = _estimator(large, "plain", size).plan()
    data = folder / "data"
    data.mkdir(parents=True)
    (data / "dataset_info.json").write_text(json.dumps(plan.document["dataset_info"]), "utf-8")
    config = {
        **plan.trainer_config,
        "output_dir": str(folder / "output"),
        "dataset_dir": str(data),
        "save_strategy": "steps",
        "save_steps": size.every,
        "disable_tqdm": True,
        "include_num_input_tokens_seen": "non_padding",
    }
    plain = Plain(config)
    plain.start()
    if plain.wait():
        raise RuntimeError("".join(plain.tail))
    shutil.rmtree(folder)
    return MeasuredTraining(who="LLaMA-Factory", every=size.every, ends=tuple(plain.ends))


# --- report -----------------------------------------------------------------------------------------------------
def _write(
    runs: list[MeasuredTraining], lost: list[losses.Loss], size: MeasurementSize, where: Mapping[str, Any], folder: Path
) -> Path:
    """Write `resume-DATE.json` and `.md` (which it returns)."""
    folder.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d")
    page = folder / f"resume-{day}.md"
    page.write_text("\n".join(_markdown(runs, lost, size, where, day)) + "\n", "utf-8")
    data = {
        "date": day,
        "machine": dict(where),
        "versions": versions(),
        "runs": [{"who": one.who, "every": one.every, "ends": one.ends, "publishes": one.publishes} for one in runs],
        "losses": [
            {"who": one.who, "kind": one.kind, "lost_steps": one.lost_steps, "exit_codes": one.exit_codes,
             "same_model": one.same_model} for one in lost
        ],
    }  # fmt: skip
    page.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    return page


def _markdown(
    runs: list[MeasuredTraining], lost: list[losses.Loss], size: MeasurementSize, where: Mapping[str, Any], day: str
) -> Iterator[str]:
    largest = max(one.checkpoint_bytes for one in runs)
    yield from (
        f"# The cost of checkpoints, {day}",
        "",
        f"{where['cores']} cores ({where['processor']}), {where['platform']}, Python {where['python']}; load average "
        f"at the start {where['load_at_start']:.1f}. "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
        + ".",
        "",
        "## What a checkpoint adds",
        "",
        f"Full tuning on the CPU, {largest / LARGE:.2f} GB a checkpoint, one every {size.every} of {size.steps} steps, "
        f"{size.rounds} rounds in turn. All times are medians: of a quiet step, of a step and the save behind it, of a "
        "step beside a publish. A checkpoint adds the save, and what its publish slows the steps beside it by.",
        "",
        f"| | a step s | with a save s | beside a publish s | a checkpoint adds s | every {CADENCE_S / 60:g} minutes |",
        "|---|---|---|---|---|---|",
        *(_cost_row(who, runs) for who in dict.fromkeys(one.who for one in runs)),
        "",
        "## Steps beside a publish",
        "",
        "ftsdk's steps of the same trainings, those that hold a save left out: quiet ones, and ones during which a "
        "checkpoint was hashed, flushed and stored in the background.",
        "",
        *_histogram([one for one in runs if one.who == "ftsdk"]),
    )
    if lost:
        yield from _losses_section(lost)


def _losses_section(lost: list[losses.Loss]) -> Iterator[str]:
    yield from (
        "## What an interruption loses",
        "",
        f"LoRA with dropout, a checkpoint every {losses.CADENCE_STEPS} steps for each program, the same random "
        "moments; then started again the same way and trained to the end.",
        "",
        "| | | steps lost: median | most | exit codes | the same model at the end |",
        "|---|---|---|---|---|---|",
        *(one.row for one in lost),
        "",
    )


def _cost_row(who: str, runs: list[MeasuredTraining]) -> str:
    ours = [one for one in runs if one.who == who]
    quiet, saving, beside = _times(ours, "quiet"), _times(ours, "saving"), _times(ours, "beside")
    slower = max(0.0, median(beside) - median(quiet)) if beside else 0.0
    added = median(saving) - median(quiet) + slower * len(beside) / len(saving)
    share = f"{100 * added / CADENCE_S:.2f} %"
    return f"| {who} | {median(quiet):.3f} | {median(saving):.3f} | {_median(beside)} | {added:.2f} | {share} |"


def _histogram(runs: Sequence[MeasuredTraining]) -> Iterator[str]:
    """Quiet steps and steps beside a publish, in bins around the quiet median."""
    quiet, busy = _times(runs, "quiet"), _times(runs, "beside")
    middle = median(quiet)
    edges = [middle * factor for factor in (0.0, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, float("inf"))]
    yield "| seconds | quiet | beside a publish |"
    yield "|---|---|---|"
    for low, high in pairwise(edges):
        share = [sum(low <= step < high for step in steps) for steps in (quiet, busy)]
        label = f"{low:.2f} – {high:.2f}" if high < float("inf") else f"from {low:.2f}"
        yield f"| {label} | {share[0]} | {share[1]} |"
    yield f"| median | {middle:.3f} | {_median(busy)} |"
    yield f"| 9 of 10 within | {_ninth(quiet)} | {_ninth(busy)} |"
    yield ""


def _times(runs: Sequence[MeasuredTraining], what: Literal["quiet", "saving", "beside"]) -> list[float]:
    return [seconds for one in runs for seconds in one.times(what)]


def _median(steps: list[float]) -> str:
    return f"{median(steps):.3f}" if steps else "–"


def _ninth(steps: list[float]) -> str:
    return f"{quantiles(steps, n=10)[-1]:.3f}" if len(steps) > 1 else "–"
