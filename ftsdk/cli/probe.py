"""`ftsdk doctor --probe`: say what the probe costs, ask, run it, show its answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftsdk.cli.output import emit, say

if TYPE_CHECKING:
    from ftsdk.jobs.probing import ProbeJob


def run_probe(
    backend: str, options: dict[str, str], accelerator: str | None, secrets: tuple[str, ...], *,
    save: str | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Probe a backend."""
    from ftsdk import backends
    from ftsdk.jobs import probing
    from ftsdk.jobs.starting import read_secrets

    given = options if accelerator else {**probing.CHEAPEST.get(backend, {}), **options}
    probe = probing.prepare(backends.get(backend, given), accelerator=accelerator, secrets=secrets)
    say(_price(probe))
    if not yes and not click.confirm("Start it?", err=True):
        raise click.Abort
    answers = probing.run(probe, secrets=read_secrets(probe.plan), on_step=say)
    if save:
        Path(save).write_text(probing.as_fixture(answers), "utf-8")
    emit(answers, as_json, lambda: "\n".join(_lines(answers)))


def _price(probe: ProbeJob) -> str:
    from ftsdk.jobs.probing import MINUTES

    cost = probe.max_cost_usd
    price = "at a price that ftsdk does not know" if cost is None else f"for at most {cost:.2f} USD"
    return f"The probe runs {probe.plan.uri} for up to {MINUTES} minutes, {price}."


def _lines(answers: Mapping[str, object], indent: str = "") -> list[str]:
    lines = []
    for name, value in answers.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {value}")
    return lines
