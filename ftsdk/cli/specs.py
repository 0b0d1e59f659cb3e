"""`ftsdk init`, `recipes`, `schema`: making a spec."""

from __future__ import annotations

from pathlib import Path

import click

from ftsdk.cli.completion import complete_spec
from ftsdk.cli.output import emit, json_option, say, table
from ftsdk.errors import SpecError


@click.command()
@click.argument("recipe", shell_complete=complete_spec)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=Path("job.yaml"),
              show_default=True, help="File to write; an existing one is left alone.")  # fmt: skip
def init(recipe: str, output: Path) -> None:
    """Write a RECIPE to a file, to edit."""
    from ftsdk import recipes

    text = recipes.path_of(recipe).read_text("utf-8")
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SpecError(f"{output} exists already: choose another file with -o, or remove it.") from None
    click.echo(output)
    say(f"Put your data into `dataset`, then: ftsdk plan {output}")


@click.command()
@click.argument("name", required=False, shell_complete=complete_spec)
@json_option
def recipes(name: str | None, as_json: bool) -> None:
    """List the ready-made specs, or show the one called NAME."""
    from ftsdk import recipes, specfile

    if name:
        path = recipes.path_of(name)
        emit(specfile.read_yaml(path), as_json, lambda: path.read_text("utf-8").rstrip())
        return
    rows = [recipe._asdict() for recipe in recipes.each()]
    emit(rows, as_json, lambda: table(("RECIPE", "WHAT IT IS"), [(r["name"], r["summary"]) for r in rows]))


@click.command()
def schema() -> None:
    """Print the JSON schema of a spec.

    An editor with a YAML language server completes and checks a spec that begins with

    \b
      # yaml-language-server: $schema=ftsdk.schema.json
    """
    import json

    from ftsdk.spec.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
