"""`ftsdk deploy`, `deployments`, `deployment status`, `deployment logs` and `undeploy`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from ftsdk.cli.completion import complete_job
from ftsdk.cli.output import emit, json_option, say, table
from ftsdk.cli.programs import RunOptions, model_address, model_of_job, program_options
from ftsdk.errors import FtsdkError

if TYPE_CHECKING:
    from ftsdk.models.deployment import Deployment
    from ftsdk.plan.deployment import DeploymentPlan
    from ftsdk.spec import JobSpec


class Replicas(click.ParamType):
    """`N`, or `MIN-MAX`."""

    name = "N|MIN-MAX"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value  # click converts a default twice
        low, _, high = str(value).partition("-")
        if not low.isdigit() or not (high or low).isdigit():
            self.fail(f"{value!r} is neither a number nor MIN-MAX, such as 0-3", param, ctx)
        return int(low), int(high or low)


@click.command()
@program_options
@click.option("--name", help="The deployment's name; made from the model if left out.")
@click.option("--beside", metavar="MODEL", shell_complete=complete_job,
              help="A second model behind the same address, for an A/B test.")  # fmt: skip
@click.option("--share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True,
              help="Share of the requests that the second model answers.")  # fmt: skip
@click.option("--replicas", type=Replicas(), default="1", show_default=True,
              help="Servers; 0-3 has none while nobody asks.")  # fmt: skip
def deploy(
    model: str, place: RunOptions, name: str | None, beside: str | None, share: float, replicas: tuple[int, int]
) -> None:
    """Put MODEL behind an address that answers OpenAI's requests, until `ftsdk undeploy`.

    It runs in a container of this machine (-b docker), or as an endpoint of SageMaker, a service of PAI EAS or of
    SkyServe, and says what that costs in an hour. Once it is up, it is sent one request; a server that does not come
    up is removed.
    """
    from ftsdk import backends
    from ftsdk.cli.run import pairs, warn
    from ftsdk.models.deployment import deploy as carry_out
    from ftsdk.models.deployment import plan_deployment
    from ftsdk.terminal.progress import byte_bar

    backend = backends.get(place.backend, pairs(place.options))
    plan = plan_deployment(_spec(model, place, name, beside, share, replicas), backend)
    for sentence in plan.warnings:
        warn(sentence)
    if place.only_plan:
        emit(plan.to_json(), place.as_json, lambda: _plan_text(plan))
        return
    say_price = partial(_say_price, plan)
    made = carry_out(plan, backend, bar=byte_bar, copy=place.copy, wait=not place.detach, on_created=say_price)
    info = made.info()
    emit({"uri": made.uri, "state": info.state, "address": info.address}, place.as_json, lambda: made.uri)
    if not place.detach and not place.as_json:
        say(f"It answers at {info.address}")


@click.command()
@json_option
def deployments(as_json: bool) -> None:
    """List the deployments that this machine has made, with their state and price."""
    from ftsdk.models.deployment import Deployment, recorded

    rows = [_row(plan, Deployment.attach(plan.uri)) for plan in recorded()]
    shown = [(str(row["uri"]), str(row["state"]), _price(row["usd_per_hour"])) for row in rows]
    emit(rows, as_json, lambda: table(("URI", "STATE", "USD/H"), shown) if rows else "No deployments.")


class DeploymentRow(TypedDict):
    """A row of `ftsdk deployments`."""

    uri: str
    state: str
    address: str
    message: str
    usd_per_hour: float | None


def _row(plan: DeploymentPlan, handle: Deployment) -> DeploymentRow:
    state, address, message = "UNKNOWN", "", ""
    try:
        info = handle.info()
        state, address, message = info.state, info.address, info.message
    except FtsdkError as problem:
        message = str(problem)
    return DeploymentRow(uri=plan.uri, state=state, address=address, message=message, usd_per_hour=plan.usd_per_hour)


def _price(usd_per_hour: float | None) -> str:
    return "" if usd_per_hour is None else f"{usd_per_hour:.4g}"


@click.group()
def deployment() -> None:
    """Look at a deployment."""


@deployment.command("status")
@click.argument("deployment_uri", metavar="DEPLOYMENT")
@json_option
def deployment_status(deployment_uri: str, as_json: bool) -> None:
    """Show whether DEPLOYMENT (a URI or a name) answers, and where."""
    from ftsdk.models.deployment import Deployment

    handle = Deployment.attach(deployment_uri)
    info, plan = handle.info(), handle.plan
    data = {
        "uri": handle.uri, "state": info.state, "address": info.address, "message": info.message,
        "usd_per_hour": plan.usd_per_hour if plan else None,
    }  # fmt: skip
    emit(data, as_json, lambda: "\n".join(f"{key + ':':14}{value}" for key, value in data.items() if value))


@deployment.command("logs")
@click.argument("deployment_uri", metavar="DEPLOYMENT")
@json_option
def deployment_logs(deployment_uri: str, as_json: bool) -> None:
    """Print what the servers of DEPLOYMENT have written so far."""
    from ftsdk.errors import printable
    from ftsdk.models.deployment import Deployment

    lines = list(Deployment.attach(deployment_uri).logs())
    emit(lines, as_json, lambda: "\n".join(map(printable, lines)))


@click.command()
@click.argument("deployment_uri", metavar="DEPLOYMENT")
@json_option
def undeploy(deployment_uri: str, as_json: bool) -> None:
    """Take DEPLOYMENT (a URI or a name) down: nothing of it is left, and nothing is billed any more."""
    from ftsdk.models.deployment import Deployment

    handle = Deployment.attach(deployment_uri)
    handle.undeploy()
    emit({"uri": handle.uri}, as_json, lambda: handle.uri)


def _spec(
    model: str, place: RunOptions, name: str | None, beside: str | None, share: float, replicas: tuple[int, int]
) -> JobSpec:
    from ftsdk.recipes import specfile

    address = model_address(model)
    made = model_of_job(address)
    second = model_of_job(model_address(beside)) if beside else None
    program = {
        "type": "serve",
        "beside": second.uri if second else beside,
        "beside_share": share,
        "min_replicas": replicas[0],
        "max_replicas": replicas[1],
    }
    given: dict[str, object] = {"model": made.uri if made else address, "name": name or "", "program": program}
    if made:
        given["resources"] = made.resources_on(place.backend).model_dump(mode="json")
    return specfile.from_data(given, where=model, folder=Path(), changes=place.changes).spec


def _say_price(plan: DeploymentPlan, made: Deployment) -> None:
    price = "an unknown price" if plan.usd_per_hour is None else f"{plan.usd_per_hour:.4g} USD"
    where = "nothing is billed" if plan.backend == "docker" else f"{price} an hour"
    say(f"{made.uri} is starting: {where}, until `ftsdk undeploy {made.uri}`.")


def _plan_text(plan: DeploymentPlan) -> str:
    from ftsdk.cli.estimates import estimate_text
    from ftsdk.cli.output import size
    from ftsdk.cli.run import block
    from ftsdk.storage import copying

    parts = [f"deployment: {plan.uri}", block("request", plan.request)]
    if plan.uploads:
        parts.append("uploads:\n" + "\n".join(f"  {u.source} -> {u.target} ({size(u.bytes)})" for u in plan.uploads))
    if plan.copies:
        parts.append("copies, with --copy only:\n" + "\n".join(f"  {copying.described(copy)}" for copy in plan.copies))
    parts.append(estimate_text(plan.estimate))
    if plan.usd_per_hour is not None:
        parts.append(f"price: {plan.usd_per_hour:.4g} USD an hour")
    return "\n\n".join(parts)
