"""`ftsdk secrets put`: store secrets in the service that a backend's jobs read them from."""

from __future__ import annotations

import os

import click

from ftsdk.cli.completion import complete_backend
from ftsdk.cli.output import emit, json_option


@click.group()
def secrets() -> None:
    """Store secrets where a backend's jobs read them."""


@secrets.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--backend", "-b", required=True, shell_complete=complete_backend, help="Backend of the jobs that need them."
)
@click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of the backend.")
@json_option
def put(names: tuple[str, ...], backend: str, options: tuple[str, ...], as_json: bool) -> None:
    """Store secrets by NAME, or replace their values; prompts for a value that is not in the environment."""
    from ftsdk import backends
    from ftsdk.backends.base import SupportsSecretStore
    from ftsdk.cli.run import pairs
    from ftsdk.errors import UnsupportedError

    target = backends.get(backend, pairs(options))
    if not isinstance(target, SupportsSecretStore):
        raise UnsupportedError(
            f"The {backend} backend passes secrets to a job when it is submitted: there is nothing to store."
        )
    values = {name: os.environ.get(name) or click.prompt(name, hide_input=True, err=True) for name in names}
    stored = {name: target.put_secret(name, value) for name, value in values.items()}
    emit(stored, as_json, lambda: "\n".join(f"{name}: {where}" for name, where in stored.items()))
