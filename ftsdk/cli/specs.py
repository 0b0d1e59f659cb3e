"""`ftsdk init`, `recipes`, `convert`, `schema`: commands that write specs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ftsdk.cli.completion import complete_spec
from ftsdk.cli.output import emit, json_option, say, table
from ftsdk.errors import SpecError


@click.command()
@click.argument("recipe", shell_complete=complete_spec)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=Path("job.yaml"),
              show_default=True, help="File to write; an existing file is never overwritten.")  # fmt: skip
def init(recipe: str, output: Path) -> None:
    """Write a RECIPE to a file, to edit."""
    from ftsdk.recipes import catalogue

    text = catalogue.path_of(recipe).read_text("utf-8")
    _write_new(output, text)
    click.echo(output)
    is_pipeline = "\nsteps:\n" in text
    say(f"Put your data into `dataset`, then: ftsdk {'run --dry-run' if is_pipeline else 'plan'} {output}")


@click.command()
@click.argument("name", required=False, shell_complete=complete_spec)
@click.option("--model", help="Only models with this in their name, e.g. qwen3.")
@click.option("--method", help="Only this method, e.g. dpo.")
@click.option("--tuning", help="Only this tuning, e.g. qlora.")
@click.option("--size", metavar="MIN-MAX", help="Only models with this many billion parameters, e.g. 8 or 1-4.")
@json_option
def recipes(
    name: str | None, model: str | None, method: str | None, tuning: str | None, size: str | None, as_json: bool
) -> None:
    """List the ready-made specs, or show the one called NAME."""
    from ftsdk.recipes import catalogue, specfile

    if name:
        path = catalogue.path_of(name)
        emit(specfile.read_yaml(path), as_json, lambda: path.read_text("utf-8").rstrip())
        return
    filters = catalogue.Filter(model=model, method=method, tuning=tuning, size_b=_sizes(size) if size else None)
    rows = [recipe._asdict() for recipe in catalogue.described(filters)]
    if not rows:
        say("No recipe matches; `ftsdk recipes` lists them all.")
    shown = [(r["name"], r["method"], r["tuning"], r["accelerator"] or "any", r["model"]) for r in rows]
    emit(rows, as_json, lambda: table(("RECIPE", "METHOD", "TUNING", "ACCELERATOR", "MODEL"), shown))


def _sizes(text: str) -> tuple[float, float]:
    """`8` or `1-4`, with or without a b behind the numbers."""
    try:
        low, *high = (float(part.strip().lower().removesuffix("b")) for part in text.split("-"))
        return low, high[0] if high else low
    except ValueError:
        raise SpecError(f"--size {text!r}: write billions of parameters, such as 8 or 1-4.") from None


@click.command()
@click.argument("spec", shell_complete=complete_spec)
@click.option(
    "--to",
    "form",
    type=click.Choice(["spec", "llamafactory"]),
    default="spec",
    show_default=True,
    help="What to write: a spec of ftsdk, or a YAML for llamafactory-cli.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; an existing file is never overwritten. Standard output if left out.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a value. Repeatable.")
def convert(spec: str, form: str, output: Path | None, changes: tuple[str, ...]) -> None:
    """Convert SPEC: any LLaMA-Factory YAML to a spec of ftsdk, or a spec to a LLaMA-Factory YAML.

    With `--to llamafactory` the data sets are registered in a folder FILE-data beside the output.
    """
    from ftsdk.recipes import converting, specfile

    loaded = specfile.load(spec, changes=changes)
    for note in loaded.notes:
        say(f"Note: {note}")
    if form == "spec":
        folder = output.parent if output else Path()
        _write_yaml(converting.as_data(loaded.spec, read_from=loaded.folder, written_to=folder), output)
        return
    if output is None:
        raise SpecError("--to llamafactory writes a dataset_info.json too: name a file with -o.")
    data = output.parent / f"{output.stem}-data"
    made = converting.as_llamafactory(loaded.spec, folder=loaded.folder, dataset_dir=data)
    _write_yaml(made.config, output)
    if made.dataset_info:
        data.mkdir(exist_ok=True)
        (data / "dataset_info.json").write_text(json.dumps(made.dataset_info, indent=2, ensure_ascii=False), "utf-8")
    say(f"Train it with: llamafactory-cli train {output}")


def _write_yaml(data: dict[str, object], output: Path | None) -> None:
    import yaml

    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    if output is None:
        click.echo(text.rstrip())
        return
    _write_new(output, text)
    click.echo(output)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SpecError(f"{path} exists already: choose another file with -o, or remove it.") from None


@click.command()
def schema() -> None:
    """Print the JSON schema of a spec.

    An editor with a YAML language server completes and checks a spec that begins with

    \b
      # yaml-language-server: $schema=ftsdk.schema.json
    """
    from ftsdk.spec.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
