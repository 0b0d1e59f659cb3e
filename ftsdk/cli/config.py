"""`ftsdk config trust`: which configuration files count."""

from __future__ import annotations

from pathlib import Path

import click

from ftsdk.cli.output import emit, json_option


@click.group()
def config() -> None:
    """Say which ftsdk.toml counts although others could have written it."""


@config.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def trust(path: Path, as_json: bool) -> None:
    """Let the present content of the file PATH count, or PATH as the folder of FTSDK_HOME."""
    from ftsdk.backends import config as files

    kept = str(files.trust(path.absolute()))
    emit({"trusted": str(path.absolute()), "kept": kept}, as_json, lambda: f"{path} is trusted as it is now ({kept}).")
