"""Starting a training from a recipe: a form, the plan with its estimate and price, then the button."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ftsdk import backends
from ftsdk.estimator import Estimator
from ftsdk.page.form import groups
from ftsdk.page.rendering import page
from ftsdk.plan import Plan
from ftsdk.recipes import catalogue, specfile
from ftsdk.spec import JobSpec

Body = Mapping[str, object]
"""A request's JSON object."""
Handler = Callable[[Body], JSONResponse]


def with_json(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A handler of a request's JSON object, run in the thread pool."""

    @wraps(handler)
    async def handled(request: Request) -> Response:
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise HTTPException(400, "The request is no JSON object.")
        return await run_in_threadpool(handler, body)

    return handled


def form(request: Request) -> HTMLResponse:
    """The recipes, and the form of the one that the address names."""
    recipe = request.query_params.get("recipe", "")
    spec = specfile.load(recipe).spec.model_dump(mode="json") if recipe else {}
    values = {
        "recipes": sorted(found.name for found in catalogue.described()),
        "recipe": recipe,
        "backends": backends.names(),
        "groups": [*groups(JobSpec.model_json_schema(), spec)] if recipe else [],
    }
    return page(request, "new.html", values)


@with_json
def plan(body: Body) -> JSONResponse:
    """What a submit of this form would do; creates nothing."""
    estimator = _estimator(body)
    facts = estimator.inspect()
    made = estimator.plan(facts)
    estimator.check(facts, made)
    return JSONResponse({"uri": made.uri, "lines": _lines(made), "warnings": made.warnings})


@with_json
def start(body: Body) -> JSONResponse:
    """Submit this form."""
    job = _estimator(body).fit(wait=False, on_warning=lambda sentence: None)
    return JSONResponse({"uri": job.uri})


def _estimator(body: Body) -> Estimator:
    """`{"recipe": NAME, "backend": NAME, "changes": ["KEY=VALUE", …]}` as an estimator."""
    recipe, backend, changes = body.get("recipe"), body.get("backend"), body.get("changes")
    if not isinstance(recipe, str) or not isinstance(backend, str) or not isinstance(changes, list):
        raise HTTPException(400, "The form needs `recipe`, `backend` and `changes`.")
    if recipe not in {known.name for known in catalogue.described()}:
        raise HTTPException(400, f"There is no recipe {recipe!r}.")
    loaded = specfile.load(recipe, changes=map(str, changes))
    return Estimator(loaded.spec, backend=backend, folder=Path.cwd())


def _lines(made: Plan) -> list[tuple[str, str]]:
    """Memory, time, price and cost of a plan, as far as they are known; names are those of the spec's estimate."""
    estimate, shown = made.estimate, list[tuple[str, str]]()
    if estimate.memory:
        usable = f" of {estimate.usable_gib:.1f} GiB on {estimate.card}" if estimate.usable_gib else ""
        shown.append(("memory", f"{estimate.memory.total_gib:.1f} GiB{usable}: {estimate.fits}"))
    if estimate.hours is not None:
        shown.append(("hours", f"{estimate.hours:.2g} ({estimate.hours_low:.2g} to {estimate.hours_high:.2g})"))
    if made.usd_per_hour is not None:
        shown.append(("price", f"{made.usd_per_hour:.4g} USD/h"))
        if estimate.hours is not None:
            shown.append(("cost", f"{made.usd_per_hour * estimate.hours:.2f} USD"))
    return [*shown, *(("unknown", sentence) for sentence in estimate.unknown)]
