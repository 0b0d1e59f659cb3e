"""`ftsdk data preview`: rows as the trainer will see them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from ftsdk.cli.completion import complete_spec
from ftsdk.cli.output import emit, json_option, say


@click.command()
@click.argument("spec", shell_complete=complete_spec)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a value of the spec. Repeatable.")
@click.option("--rows", "first", type=click.IntRange(min=1), default=3, show_default=True, help="Show the first rows.")
@click.option("--row", "only", type=click.IntRange(min=1), help="Show only this row (1 = first).")
@click.option("--all", "everything", is_flag=True, help="Show all rows.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page into this file.")
@json_option
def preview(
    spec: str,
    changes: tuple[str, ...],
    first: int,
    only: int | None,
    everything: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """Show rows of SPEC's data as the trainer will see them: every token, what it is, and whether it is learned.

    The template is applied, what is learned is underlined, special tokens are inverted. The trainer's own functions
    prepare the rows, so it must be installed beside ftsdk (or in the local backend's `python`).
    """
    from ftsdk.estimator import Estimator
    from ftsdk.preview.page import as_html
    from ftsdk.preview.terminal import as_text
    from ftsdk.recipes import specfile

    loaded = specfile.load(spec, changes=changes)
    made = Estimator(loaded.spec, folder=loaded.folder).preview(first=None if everything or only else first, only=only)
    if html:
        html.write_text(as_html(made, f"Rows of {loaded.spec.name}"), "utf-8")
        say(f"Written: {html}")
        return
    if as_json:
        emit({**asdict(made), "special": sorted(made.special)}, as_json, str)
        return
    from rich.console import Console

    Console(file=sys.stdout, highlight=False, soft_wrap=True).print(as_text(made))
