"""Two gigabytes into a bucket: what a submit stages, beside boto3's transfer manager and the AWS command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.launch import environments, report
from bench.launch.environments import Environment, Peer
from bench.launch.programs import PROGRAMS, rows
from bench.launch.timing import Measure, Row, load

BYTES, QUICK_BYTES = 2_000_000_000, 20_000_000
RUNS = 3
LINK_MB_PER_S = 85.0
"""Of one connection to S3 (Amazon S3 user guide, "Performance design patterns": 85 to 90)."""
PEERS = (
    Peer(name="boto3", requirements=("boto3",), face="import boto3"),
    Peer(name="awscli", requirements=("awscli",), face="import awscli"),
)
NOTES = {
    "ftsdk": ("reads, hashes, plans, sends", "finds it there"),
    "boto3": ("sends", "sends again: it does not look"),
    "awscli": ("aws s3 sync: lists, sends", "lists, compares sizes and times"),
}


def run(*, quick: bool, results: Path = report.RESULTS) -> None:
    """Measure, print the report and keep it. `quick` takes ftsdk alone as it is installed here, once, with 20 MB."""
    where = report.machine()
    found = [environments.here()] if quick else [environments.ours("sagemaker"), *map(environments.of, PEERS)]
    with TemporaryDirectory(prefix="ftsdk-bench-") as folder:
        model = _model(Path(folder), QUICK_BYTES if quick else BYTES)
        measures = [
            _measure(found, Path(folder), model, runs=1 if quick else RUNS, mb_per_s=limit)
            for limit in (None, LINK_MB_PER_S)
        ]
    for measure in measures:
        print("\n".join(report.table(measure)), end="\n\n", flush=True)
    versions = {env.name: env.version for env in found}
    page = report.write(measures, versions, where, results, name="staging")
    print(f"Written to {page} and {page.with_suffix('.json').name}.")


def _model(folder: Path, size: int) -> Path:
    """A model of one large file, and read once, so that all find it in the page cache."""
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "qwen2"}', "utf-8")
    with (model / "model.safetensors").open("wb") as file:
        for start in range(0, size, 1 << 24):
            file.write(os.urandom(min(1 << 24, size - start)))
    return model


def _measure(found: list[Environment], folder: Path, model: Path, *, runs: int, mb_per_s: float | None) -> Measure:
    """Everybody in turn, each in a new bucket."""
    done: dict[tuple[str, int], list[Row]] = {}
    for _ in range(runs):
        for env in found:
            with _bucket(mb_per_s) as url:
                arguments = ("stage", url, str(model))
                answers = rows(env.name, env, f"{env.name}_staging.py", *arguments, folder=folder)
            for number, row in enumerate(answers):
                done.setdefault((env.name, number), []).append(row)
    size = sum(path.stat().st_size for path in model.iterdir())
    return Measure(
        title=f"Staging {size / 1e9:.2g} GB" + (f", {mb_per_s:g} MB/s a connection" if mb_per_s else ", loopback"),
        about="A model's folder with one large file, into a bucket on loopback (HTTP) that throws the bytes away. "
        + ("No connection is quicker than one to S3 is." if mb_per_s else "The network costs nothing."),
        rows=tuple(_row(name, number, several, size) for (name, number), several in sorted(done.items(), key=_order)),
        load=load(),
    )


def _order(item: tuple[tuple[str, int], list[Row]]) -> int:
    """All first submits before the second ones, in the order in which they were measured."""
    return item[0][1]


def _row(name: str, number: int, several: list[Row], size: int) -> Row:
    merged = Row(who=f"{name}, {('first', 'second')[number]}", runs=tuple(row.runs[0] for row in several))
    speed = "" if NOTES[name][number].startswith(("finds", "lists, c")) else f", {size / 1e6 / merged.wall_s:,.0f} MB/s"
    return Row(who=merged.who, runs=merged.runs, note=NOTES[name][number] + speed)


@contextmanager
def _bucket(mb_per_s: float | None) -> Iterator[str]:
    """The address of a bucket in a process of its own."""
    argv = [sys.executable, PROGRAMS / "bucket.py", *([str(mb_per_s)] if mb_per_s else [])]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()
