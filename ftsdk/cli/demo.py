"""`ftsdk demo`: a complete training on this machine."""

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
    """Train a small model on this machine in a few minutes.

    Creates a tiny Qwen-type model with its tokenizer and a data set from the documentation of Python's standard
    library, fine-tunes with LLaMA-Factory, evaluates before and after, and prints the model's answer to a question.
    Needs no GPU, no network and no account.
    """
    from ftsdk.demo import run_demo, summary

    result = run_demo(steps=steps)
    emit(asdict(result), as_json, lambda: summary(result))
