"""`ftsdk demo`: a whole training on this machine, from nothing."""

from __future__ import annotations

from dataclasses import asdict

import click

from ftsdk.cli.output import emit, json_option


@click.command()
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Optimizer steps; by default as many as fit into two minutes at the measured speed (200 to 600).",
)
@json_option
def demo(steps: int | None, as_json: bool) -> None:
    """Train a small model on this machine, from nothing, in a few minutes.

    Makes a tiny Qwen-type model and its tokenizer, makes a data set out of the documentation of Python's standard
    library, fine-tunes through LLaMA-Factory, evaluates before and after, and lets the model answer a question.
    Needs no GPU, no network and no account.
    """
    from ftsdk.demo import run_demo, summary

    result = run_demo(steps=steps)
    emit(asdict(result), as_json, lambda: summary(result))
