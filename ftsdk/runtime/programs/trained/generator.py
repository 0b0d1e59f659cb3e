"""Answers a file of prompts, and goes on after an interruption where it was."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk import contract
from ftsdk.runtime.programs.callbacks import emit
from ftsdk.runtime.programs.data.prompts import joined
from ftsdk.runtime.programs.heartbeat import HEARTBEAT
from ftsdk.runtime.programs.interruption import InterruptedTraining, StopRequest
from ftsdk.runtime.programs.session import session
from ftsdk.runtime.programs.trained.chat import Speaker
from ftsdk.runtime.programs.trained.loading import load_model, load_tokenizer
from ftsdk.runtime.worker_protocol import Phase, TrainJob

if TYPE_CHECKING:
    from ftsdk.contract.foreign import JsonObject
    from ftsdk.contract.programs import ChatMessage

ANSWERS = "answers.jsonl"
EVERY_S = 60.0
"""Seconds between two checkpoints."""


def train(job: TrainJob, stop: StopRequest) -> None:
    """Answer the prompts of the job document; on a stop request, save the answers so far."""
    HEARTBEAT.enter(Phase.LOADING)
    with session():
        document, output = job["document"], Path(job["output"])
        config = document["config"]
        prompts = joined(config["dataset"], document["dataset_info"], config.get("max_samples"), True)["prompt"]
        tokenizer = load_tokenizer(config["model"])
        speaker = Speaker(load_model(config["model"], tokenizer), tokenizer, "model")
        done = Path(job["resume"], ANSWERS).read_text("utf-8").splitlines() if job["resume"] else []
        stop.training = True  # from here on there is something to save
        answer_all(speaker, prompts, config, done, output, stop)
        sys.stdout.write(f"{len(done)} prompts are answered.\n")


def answer_all(
    speaker: Speaker,
    prompts: Sequence[list[ChatMessage]],
    config: JsonObject,
    done: list[str],
    output: Path,
    stop: StopRequest,
) -> None:
    """Answer the prompts after those that are done. Raises InterruptedTraining after a stop request."""
    import torch

    saved_at = time.monotonic()
    while len(done) < len(prompts):
        HEARTBEAT.enter(Phase.EVALUATION)
        torch.manual_seed(config["seed"] + len(done))  # the same answers, interrupted or not
        done.append(answered(speaker, prompts[len(done)], config["settings"]))
        if stop.received or time.monotonic() - saved_at > EVERY_S:
            save(output, done, total=len(prompts))
            saved_at = time.monotonic()
        if stop.received:
            raise InterruptedTraining
    write(output, done)


def answered(speaker: Speaker, prompt: list[ChatMessage], settings: JsonObject) -> str:
    """A line of the result: the prompt, the answer, and why it ends."""
    pieces = list(speaker.answer({"messages": prompt, **settings}, chat=True))
    answer = "".join(piece.text for piece in pieces)
    line = {"messages": prompt, "answer": answer, "finish_reason": pieces[-1].finish_reason}
    return json.dumps(line, ensure_ascii=False)


def save(output: Path, lines: list[str], *, total: int) -> None:
    """A checkpoint of the answers so far, which the supervisor publishes."""
    folder = output / f"checkpoint-{len(lines)}"
    folder.mkdir()
    write(folder, lines)
    emit(contract.EVENT_CHECKPOINT, step=len(lines), total_steps=total)


def write(folder: Path, lines: list[str]) -> None:
    """Write the answers into a folder."""
    (folder / ANSWERS).write_text("".join(f"{line}\n" for line in lines), "utf-8")
