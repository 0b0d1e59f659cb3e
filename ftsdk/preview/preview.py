"""Asks the trainer's interpreter what a training will learn: its own functions prepare the rows, as in the job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ftsdk.backends.local import trainer_python
from ftsdk.contract.previews import PreviewAnswer, PreviewedRow, PreviewRequest
from ftsdk.engines.base import Layout
from ftsdk.errors import DataError, NotInstalledError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.plan import build
from ftsdk.runtime.overlays import OVERLAYS
from ftsdk.spec import JobSpec

PREVIEWED = ("llamafactory", "trl", "ppo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Rows as the trainer sees them.

    An item of `rows` is a row, or what packing puts together. It has `rows` (their numbers, 1 = first), `dropped`, and
    `sides` (one, or chosen and rejected …), each with `name`, `num_tokens`, `num_learned`, `num_cut` (tokens that
    cutoff_len cuts off) and `segments`: neighbouring tokens with the same `kind` (system, prompt, tool, thought, answer
    or padding), `learned`, `weight` in the loss and `row`, with their `ids`, `tokens` and `labels` (what the loss asks
    for; -100 is nothing; `learned_as` is their text where it is not the tokens themselves). A packed side has
    `attention_crosses`: whether its rows see each other.
    """

    template: str | None
    """LLaMA-Factory's name of the chat template; None for the model's own."""
    num_rows: int
    """Rows of the data, before some are held out."""
    rows: list[PreviewedRow]
    findings: list[str]
    """What is unusual in these rows, a sentence each."""
    special: frozenset[str]
    """Special tokens."""
    seconds: float
    """Time that the rows took once the trainer was imported and the data loaded."""


def preview(spec: JobSpec, facts: Facts, *, first: int | None = 3, only: int | None = None) -> Preview:
    """The first rows, or only one (1 = first), of a spec's training data; all rows for `first=None`.

    Raises NotInstalledError without the trainer, UnsupportedError for methods without a preview, and DataError if the
    trainer cannot read the rows.
    """
    with tempfile.TemporaryDirectory(prefix="ftsdk-preview-") as folder:
        layout = Layout(durable=folder, scratch=folder, inputs={})
        draft = build.draft(
            spec,
            facts,
            digest=build.digest_of(spec, facts),
            backend="local",
            layout=layout,
            nproc_per_node=1,
            grace_s=0.0,
        )
        trainer = draft.document["trainer"]
        if trainer not in PREVIEWED:
            raise UnsupportedError(f"Method {spec.method.stage} has no preview: its rows are prepared by {trainer}.")
        request: PreviewRequest = {"document": draft.document, "folder": folder, "first": first, "only": only}
        made = _ask(facts.runtime.path, request, trainer, Path(folder))
    if not made["rows"]:
        raise DataError(f"There is no row {only}: the training data has {made['num_rows']:,} rows, 1 is the first.")
    return Preview(
        template=made["template"],
        num_rows=made["num_rows"],
        rows=made["rows"],
        findings=made["findings"],
        special=frozenset(made["special"]),
        seconds=made["seconds"],
    )


def _ask(archive: str, request: PreviewRequest, trainer: str, folder: Path) -> PreviewAnswer:
    python = trainer_python()
    environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "cache"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    if trainer in OVERLAYS:
        lay = Path(python).absolute().parents[1] / "overlays" / OVERLAYS[trainer]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(lay), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            [python, archive, "preview"],
            input=json.dumps(request),
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except OSError as problem:
        raise NotInstalledError(f"{python} cannot be started ({problem.strerror}): set the option 'python'.") from None
    if done.returncode:
        raise _error(done.stderr, python)
    made: PreviewAnswer = json.loads(done.stdout)
    return made


def _error(stderr: str, python: str) -> DataError | NotInstalledError:
    """The error from the trainer's last line of output."""
    last = stderr.strip().splitlines()[-1:] or ["no message"]
    if "No module named" in last[0]:
        beside = "beside ftsdk" if python == sys.executable else f"in {python}"
        return NotInstalledError(
            f"The trainer is not installed {beside} ({last[0]}): run `make setup` in a checkout, or pip install "
            f"'ftsdk[train]'; the preview comes from the trainer's own functions."
        )
    return DataError(f"The trainer cannot prepare the rows: {last[0].partition(': ')[2] or last[0]}.")
