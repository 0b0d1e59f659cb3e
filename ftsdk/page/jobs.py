"""Jobs on the page: the list, one job, curves over each other, cancelling and submitting again."""

from __future__ import annotations

import time
from typing import NamedTuple

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from ftsdk import backends
from ftsdk.backends.base import JobInfo
from ftsdk.jobs.job import Job
from ftsdk.jobs.listing import list_jobs
from ftsdk.jobs.metrics import from_reports
from ftsdk.jobs.starting import read_secrets
from ftsdk.jobs.submit import submit
from ftsdk.page.rendering import page
from ftsdk.reports.contents import gathered
from ftsdk.reports.page import body
from ftsdk.storage.records import all_metrics


class JobRow(NamedTuple):
    """A row of the list."""

    uri: str
    info: JobInfo
    age: str


def listing(request: Request) -> HTMLResponse:
    """All jobs of all backends."""
    return page(request, "jobs.html", _listed())


def rows(request: Request) -> HTMLResponse:
    """The list's rows alone, for a page that refreshes itself."""
    return page(request, "rows.html", _listed())


def job(request: Request) -> HTMLResponse:
    """One job: state, progress, cost, curves, end of its log."""
    status = requested_job(request).status()
    values = {"status": status, "info": status.info, "uri": status.job.uri, "age": _age(status.info)}
    return page(request, "job.html", values)


def report(request: Request) -> HTMLResponse:
    """What `ftsdk report` shows of a job, to be put into its page: data checks, evaluations, lineage, spec."""
    return HTMLResponse(Markup(body(gathered(requested_job(request).uri))))


def curves(request: Request) -> HTMLResponse:
    """The curves of several jobs over each other."""
    return page(request, "curves.html", {"uris": _uris(request)})


def metrics(request: Request) -> JSONResponse:
    """A job's state, its metric records without the first `after` reports, and how many reports there are."""
    attached = requested_job(request)
    state, after = attached.state, request.query_params.get("after", "0")
    if not after.isdecimal():
        raise HTTPException(400, f"after={after!r}: give the number of reports known, such as 0.")
    reports = [*all_metrics(attached.store)]
    new = from_reports(reports[int(after) :]).to_json()
    return JSONResponse({"state": state, "is_over": state.terminal, "records": new, "known": len(reports)})


def cancel(request: Request) -> JSONResponse:
    """Ask a job to save its state and stop."""
    attached = requested_job(request)
    attached.cancel()
    return JSONResponse({"uri": attached.uri})


def submit_again(request: Request) -> JSONResponse:
    """A new attempt of a job that failed or was cancelled."""
    attached = requested_job(request)
    plan = attached.plan
    if plan is None:
        raise HTTPException(400, f"This machine did not submit {attached.uri}: submit the same spec here.")
    backend = backends.at(plan.uri, plan.options)
    again = submit(plan, backend, secrets=read_secrets(plan), on_attach=lambda info: None)
    return JSONResponse({"uri": again.uri})


def requested_job(request: Request) -> Job:
    """The job that the address names. Raises JobNotFoundError."""
    uris = _uris(request)
    if len(uris) != 1:
        raise HTTPException(400, "The address names no job.")
    return Job.attach(uris[0])


def _uris(request: Request) -> list[str]:
    return request.query_params.getlist("uri")


def _listed() -> dict[str, object]:
    problems: list[str] = []
    listed = [JobRow(uri, info, _age(info)) for uri, info in list_jobs(on_problem=problems.append)]
    newest = sorted(listed, key=lambda row: row.info.created_at or 0.0, reverse=True)
    return {"jobs": newest, "problems": problems}


def _age(info: JobInfo) -> str:
    if info.created_at is None:
        return "-"
    seconds = max(0.0, time.time() - info.created_at)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
