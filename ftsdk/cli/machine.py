"""`ftsdk backends` and `ftsdk doctor`: the backends, and whether this machine can use them."""

from __future__ import annotations

from dataclasses import asdict

import click

from ftsdk.cli.completion import complete_backend
from ftsdk.cli.output import emit, json_option, table
from ftsdk.contract.foreign import JsonObject


@click.command()
@json_option
def backends(as_json: bool) -> None:
    """List the backends and their capabilities."""
    from ftsdk import backends

    rows = [{"name": name, **asdict(backends.backend_class(name).capabilities)} for name in backends.names()]
    abilities = [key for key in rows[0] if key != "name"]
    header = ("BACKEND", *(key.replace("_", " ") for key in abilities))
    emit(rows, as_json, lambda: table(header, [_row(row, abilities) for row in rows]))


def _row(row: JsonObject, abilities: list[str]) -> list[str]:
    return [row["name"], *("yes" if row[key] else "-" for key in abilities)]


@click.command()
@click.option(
    "--backend", "-b", multiple=True, shell_complete=complete_backend, help="Only these backends. Repeatable."
)
@click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the backend named with -b. Repeatable.",
)
@click.option("--probe", is_flag=True, help="Also run one small job there that measures what no document says.")
@click.option("--accelerator", help="The probe's accelerator; the cheapest machine without one if left out.")
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="A secret that the probe reads. Repeatable.")
@click.option("--save", type=click.Path(dir_okay=False), help="Write the answers here, without account numbers.")
@click.option("--yes", is_flag=True, help="Start the probe without asking.")
@json_option
def doctor(
    backend: tuple[str, ...], options: tuple[str, ...], probe: bool, accelerator: str | None,
    secrets: tuple[str, ...], save: str | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check the requirements of each backend; the exit code is 11 if one of a named backend is missing."""
    from ftsdk import backends
    from ftsdk.backends.base import SupportsDoctor
    from ftsdk.cli.probe import run_probe
    from ftsdk.cli.run import pairs
    from ftsdk.errors import NotInstalledError

    if options and len(backend) != 1:
        raise click.UsageError("--option needs exactly one backend: name it with -b.")
    if probe:
        if len(backend) != 1:
            raise click.UsageError("--probe needs exactly one backend: name it with -b.")
        run_probe(backend[0], pairs(options), accelerator, secrets, save=save, yes=yes, as_json=as_json)
        return
    checks = []
    for name in backend or backends.names():
        configured = backends.get(name, pairs(options))
        if isinstance(configured, SupportsDoctor):
            checks += [{"backend": name, **asdict(check)} for check in configured.doctor()]
    emit(checks, as_json, lambda: table(("BACKEND", "WHAT", "", "FOUND"), map(_check_row, checks)))
    failed = sorted({check["backend"] for check in checks if not check["ok"]})
    if backend and failed:
        raise NotInstalledError(f"Not ready: {', '.join(failed)}; the table shows what to do.")


def _check_row(check: JsonObject) -> tuple[str, ...]:
    detail = check["detail"] if check["ok"] else f"{check['detail']} -> {check['remedy']}"
    return check["backend"], check["what"], "ok" if check["ok"] else "MISSING", detail
