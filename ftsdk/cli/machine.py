"""`ftsdk backends` and `ftsdk doctor`: the backends, and whether this machine can use them."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_backend
from ftsdk.cli.output import emit, json_option, table

if TYPE_CHECKING:
    from ftsdk.backends.base import Check


@click.command()
@json_option
def backends(as_json: bool) -> None:
    """List the backends and their capabilities."""
    from ftsdk import backends
    from ftsdk.backends.base import Capabilities

    abilities = {name: asdict(backends.backend_class(name).capabilities) for name in backends.names()}
    header = ("BACKEND", *(field.name.replace("_", " ") for field in fields(Capabilities)))
    rows = [(name, *("yes" if value else "-" for value in able.values())) for name, able in abilities.items()]
    emit([{"name": name, **able} for name, able in abilities.items()], as_json, lambda: table(header, rows))


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
    checks: list[tuple[str, Check]] = []
    for name in backend or backends.names():
        configured = backends.get(name, pairs(options))
        if isinstance(configured, SupportsDoctor):
            checks += [(name, check) for check in configured.doctor()]
    rows = [_check_row(name, check) for name, check in checks]
    data = [{"backend": name, **asdict(check)} for name, check in checks]
    emit(data, as_json, lambda: table(("BACKEND", "WHAT", "", "FOUND"), rows))
    failed = sorted({name for name, check in checks if not check.ok})
    if backend and failed:
        raise NotInstalledError(f"Not ready: {', '.join(failed)}; the table shows what to do.")


def _check_row(backend: str, check: Check) -> tuple[str, ...]:
    detail = check.detail if check.ok else f"{check.detail} -> {check.remedy}"
    return backend, check.what, "ok" if check.ok else "MISSING", detail
