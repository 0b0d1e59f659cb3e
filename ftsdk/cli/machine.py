"""`ftsdk backends` and `ftsdk doctor`: what this machine can reach."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ftsdk.cli.completion import complete_backend
from ftsdk.cli.output import emit, json_option, table


@click.command()
@json_option
def backends(as_json: bool) -> None:
    """Show where jobs can run and what each place can do."""
    from ftsdk import backends

    rows = [{"name": name, **asdict(backends.backend_class(name).capabilities)} for name in backends.names()]
    abilities = [key for key in rows[0] if key != "name"]
    header = ("BACKEND", *(key.replace("_", " ") for key in abilities))
    emit(rows, as_json, lambda: table(header, [_row(row, abilities) for row in rows]))


def _row(row: dict[str, Any], abilities: list[str]) -> list[str]:
    return [row["name"], *("yes" if row[key] else "-" for key in abilities)]


@click.command()
@click.option(
    "--backend", "-b", multiple=True, shell_complete=complete_backend, help="Only these backends. Repeatable."
)
@click.option(
    "--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of the one that is named."
)
@json_option
def doctor(backend: tuple[str, ...], options: tuple[str, ...], as_json: bool) -> None:
    """Check what each backend needs and whether it is there; the exit code is 11 if a named backend lacks something."""
    from ftsdk import backends
    from ftsdk.backends.base import SupportsDoctor
    from ftsdk.cli.run import pairs
    from ftsdk.errors import NotInstalledError

    if options and len(backend) != 1:
        raise click.UsageError("Options belong to one backend: name it with -b.")
    found = []
    for name in backend or backends.names():
        place = backends.get(name, pairs(options))
        if isinstance(place, SupportsDoctor):
            found += [{"backend": name, **asdict(check)} for check in place.doctor()]
    emit(found, as_json, lambda: table(("BACKEND", "WHAT", "", "FOUND"), map(_check_row, found)))
    failed = sorted({check["backend"] for check in found if not check["ok"]})
    if backend and failed:
        raise NotInstalledError(f"Not ready: {', '.join(failed)}; the table says what to do.")


def _check_row(check: dict[str, Any]) -> tuple[str, ...]:
    detail = check["detail"] if check["ok"] else f"{check['detail']} -> {check['remedy']}"
    return check["backend"], check["what"], "ok" if check["ok"] else "MISSING", detail
