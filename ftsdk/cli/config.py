"""`ftsdk config trust`: which configuration files are used."""

from __future__ import annotations

from pathlib import Path

import click

from ftsdk.cli.output import emit, json_option


@click.group()
def config() -> None:
    """Choose which ftsdk.toml is used where several users can write one."""


@config.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def trust(path: Path, as_json: bool) -> None:
    """Trust the present content of the file PATH, or the folder PATH as FTSDK_HOME."""
    from ftsdk.backends import config as files

    kept = str(files.trust(path.absolute()))
    emit({"trusted": str(path.absolute()), "kept": kept}, as_json, lambda: f"{path} is trusted as it is now ({kept}).")
